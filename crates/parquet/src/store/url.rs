//! Where a store is, as text: a directory, or a bucket and a prefix in it.

use std::sync::Arc;

use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{ObjectStore, ObjectStoreScheme};
use url::Url;

use crate::error::{Fault, Result};

/// What a URL leads to.
pub(crate) enum Place {
    Directory(std::path::PathBuf),
    Store(Arc<dyn ObjectStore>),
}

/// Reads a URL. `options` go before what the environment says.
pub(crate) fn place(text: &str, options: &[(String, String)]) -> Result<Place> {
    let url = Url::parse(text)
        .map_err(|e| Fault::Invalid(format!("it is no URL ({e}); a directory is file:///…")))?;
    let (scheme, prefix) = ObjectStoreScheme::parse(&url).map_err(|e| {
        Fault::Invalid(format!(
            "no store is known for it ({e}); s3, gs, az, abfs, file and memory are"
        ))
    })?;
    let store: Arc<dyn ObjectStore> = match scheme {
        ObjectStoreScheme::Local => {
            let path = url.to_file_path();
            let path = path.map_err(|()| Fault::Invalid("it names no local directory".into()))?;
            return Ok(Place::Directory(path));
        }
        ObjectStoreScheme::Memory => Arc::new(object_store::memory::InMemory::new()),
        #[cfg(feature = "s3")]
        ObjectStoreScheme::AmazonS3 => {
            let builder = object_store::aws::AmazonS3Builder::from_env().with_url(text);
            let mut known = builder;
            for (key, value) in options {
                known = known.with_config(option(key)?, value);
            }
            Arc::new(known.build().map_err(|error| refused(&error))?)
        }
        #[cfg(feature = "gcs")]
        ObjectStoreScheme::GoogleCloudStorage => {
            let builder = object_store::gcp::GoogleCloudStorageBuilder::from_env().with_url(text);
            let mut known = builder;
            for (key, value) in options {
                known = known.with_config(option(key)?, value);
            }
            Arc::new(known.build().map_err(|error| refused(&error))?)
        }
        #[cfg(feature = "azure")]
        ObjectStoreScheme::MicrosoftAzure => {
            let builder = object_store::azure::MicrosoftAzureBuilder::from_env().with_url(text);
            let mut known = builder;
            for (key, value) in options {
                known = known.with_config(option(key)?, value);
            }
            Arc::new(known.build().map_err(|error| refused(&error))?)
        }
        #[cfg(not(feature = "s3"))]
        ObjectStoreScheme::AmazonS3 => return Err(without("s3")),
        #[cfg(not(feature = "gcs"))]
        ObjectStoreScheme::GoogleCloudStorage => return Err(without("gcs")),
        #[cfg(not(feature = "azure"))]
        ObjectStoreScheme::MicrosoftAzure => return Err(without("azure")),
        other => {
            return Err(Fault::Unsupported {
                message: format!("a store of the kind {other:?} has no create-if-absent"),
            });
        }
    };
    let _ = options;
    Ok(Place::Store(below(store, &prefix)))
}

/// The part of a store below a prefix.
pub(crate) fn below(store: Arc<dyn ObjectStore>, prefix: &Path) -> Arc<dyn ObjectStore> {
    if prefix.as_ref().is_empty() {
        return store;
    }
    Arc::new(PrefixStore::new(store, prefix.clone()))
}

#[cfg(any(feature = "s3", feature = "gcs", feature = "azure"))]
fn option<K: std::str::FromStr>(key: &str) -> Result<K> {
    let lower = key.to_ascii_lowercase();
    lower
        .parse()
        .map_err(|_| Fault::Invalid(format!("\"{key}\" is no option of this kind of store")))
}

#[cfg(any(feature = "s3", feature = "gcs", feature = "azure"))]
fn refused(error: &object_store::Error) -> Fault {
    Fault::Invalid(format!("the store cannot be set up: {error}"))
}

#[allow(dead_code, reason = "not needed where every feature is on")]
fn without(feature: &str) -> Fault {
    Fault::Unsupported {
        message: format!("this program was built without the feature \"{feature}\""),
    }
}
