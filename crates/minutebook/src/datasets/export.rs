//! The catalog as a registry for others.

use super::Place;
use crate::json_text::{pretty, push_string, to_text};
use crate::{DatasetEntry, DatasetFilter, Error, Minutebook, Result};

impl Minutebook {
    /// The matching datasets as the text of a registry that the original reads: entries by name, sorted, indented by two blanks. With
    /// `absolute`, files are named by their whole paths, for a program that runs elsewhere than in the store's directory.
    ///
    /// # Errors
    /// As [`Catalog::list`](crate::Catalog::list).
    pub async fn export_registry(&self, filter: &DatasetFilter, absolute: bool) -> Result<String> {
        let mut out = String::from("{");
        for (i, stored) in self.catalog().list(filter).await?.into_iter().enumerate() {
            let mut entry = stored.entry;
            if absolute {
                entry.file_path = self.absolute_path(&entry);
            }
            let text = to_text(&entry).map_err(|error| {
                Error::invalid(format!("the entry is no JSON: {error}")).with_resource(&entry.name)
            })?;
            if i > 0 {
                out.push(',');
            }
            push_string(&mut out, entry.name.as_str());
            out.push(':');
            out.push_str(&text);
        }
        out.push('}');
        Ok(pretty(&out))
    }

    /// The whole path of a dataset's file; what leads to no file on this machine stays as it is.
    pub fn absolute_path(&self, entry: &DatasetEntry) -> String {
        let place = self.locate(&entry.file_path).ok();
        let file = match &place {
            Some(Place::Inside(path) | Place::Outside(path)) => path.to_str(),
            _ => None,
        };
        file.unwrap_or(&entry.file_path).to_owned()
    }
}
