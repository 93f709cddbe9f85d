//! What a [`DurableStore`] does as an object store: each call on the disk, off the asynchronous threads.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt};
use minutebook_fs::{FsFile, read};
use object_store::path::Path;
use object_store::{
    Attributes, CopyMode, CopyOptions, GetOptions, GetRange, GetResult, GetResultPayload,
    ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode, PutMultipartOptions, PutOptions,
    PutPayload, PutResult, Result,
};

use super::durable::{DurableStore, SyncBefore, generic, missing, object_meta, read_at, told};
use super::listing;
use super::multipart::Parts;

/// Bytes that a streamed `get` reads at once.
const CHUNK: u64 = 4 << 20;
/// The largest object that `copy` takes.
const MAX_COPY: u64 = 4 << 30;

#[async_trait]
impl ObjectStore for DurableStore {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> Result<PutResult> {
        let location = location.clone();
        let sync_before = opts.extensions.get::<SyncBefore>().is_some();
        self.run(move |inner| {
            inner.put(&location, &Bytes::from(payload), &opts.mode, sync_before)?;
            Ok(PutResult {
                e_tag: None,
                version: None,
            })
        })
        .await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        _: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        Ok(Box::new(Parts::new(self.clone(), location.clone())))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let location = location.clone();
        let (file, meta, range) = self
            .run(move |inner| {
                let (file, meta) = inner.open(&location)?;
                let object = object_meta(location, &meta);
                options.check_preconditions(&object)?;
                let range = range_of(options.range.as_ref(), meta.len)?;
                Ok((file, object, if options.head { 0..0 } else { range }))
            })
            .await?;
        let payload = stream_of(
            self.clone(),
            Arc::from(file),
            meta.location.clone(),
            range.clone(),
        );
        Ok(GetResult {
            payload: GetResultPayload::Stream(payload),
            meta,
            range,
            attributes: Attributes::default(),
        })
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let (location, ranges) = (location.clone(), ranges.to_vec());
        self.run(move |inner| inner.read_ranges(&location, &ranges))
            .await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let store = self.clone();
        stream::once(async move {
            let locations: Vec<Path> = locations.try_collect().await?;
            let results = store
                .run(move |inner| Ok(inner.delete_all(locations)))
                .await?;
            Ok::<_, object_store::Error>(stream::iter(results))
        })
        .try_flatten()
        .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (store, prefix) = (self.clone(), prefix.cloned().unwrap_or_default());
        stream::once(async move {
            let found = store
                .run(move |inner| match inner.existing()? {
                    Some(root) => listing::walk(root, &prefix),
                    None => Ok(Vec::new()),
                })
                .await?;
            Ok::<_, object_store::Error>(stream::iter(found.into_iter().map(Ok)))
        })
        .try_flatten()
        .boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let prefix = prefix.cloned().unwrap_or_default();
        self.run(move |inner| match inner.existing()? {
            Some(root) => listing::level(root, &prefix),
            None => Ok(ListResult {
                common_prefixes: Vec::new(),
                objects: Vec::new(),
            }),
        })
        .await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        let (from, to) = (from.clone(), to.clone());
        self.run(move |inner| {
            let bytes = read(&*inner.fs, &inner.file(&from)?, MAX_COPY)
                .map_err(|error| told(&from, error))?
                .ok_or_else(|| missing(&from))?;
            let mode = match options.mode {
                CopyMode::Overwrite => PutMode::Overwrite,
                CopyMode::Create => PutMode::Create,
            };
            inner.put(&to, &bytes, &mode, false)
        })
        .await
    }
}

fn stream_of(
    store: DurableStore,
    file: Arc<dyn FsFile>,
    location: Path,
    range: Range<u64>,
) -> BoxStream<'static, Result<Bytes>> {
    stream::try_unfold(range, move |rest| {
        let (store, file, location) = (store.clone(), Arc::clone(&file), location.clone());
        async move {
            if rest.is_empty() {
                return Ok(None);
            }
            let end = rest.end.min(rest.start + CHUNK);
            let bytes = store
                .run(move |_| read_at(&*file, &location, rest.start..end))
                .await?;
            Ok(Some((bytes, end..rest.end)))
        }
    })
    .boxed()
}

fn range_of(range: Option<&GetRange>, len: u64) -> Result<Range<u64>> {
    match range {
        None => Ok(0..len),
        Some(range) => range.as_range(len).map_err(generic),
    }
}
