//! Uploads in parts: collected in memory, then put as one object.

use async_trait::async_trait;
use object_store::path::Path;
use object_store::{
    MultipartUpload, ObjectStore, PutOptions, PutPayload, PutPayloadMut, PutResult, Result,
    UploadPart,
};

use super::durable::DurableStore;

/// The parts so far.
#[derive(Debug)]
pub(super) struct Parts {
    store: DurableStore,
    location: Path,
    collected: PutPayloadMut,
}

impl Parts {
    pub(super) fn new(store: DurableStore, location: Path) -> Self {
        Self {
            store,
            location,
            collected: PutPayloadMut::new(),
        }
    }
}

#[async_trait]
impl MultipartUpload for Parts {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        for bytes in data {
            self.collected.push(bytes);
        }
        Box::pin(std::future::ready(Ok(())))
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let payload = std::mem::take(&mut self.collected).freeze();
        self.store
            .put_opts(&self.location, payload, PutOptions::default())
            .await
    }

    async fn abort(&mut self) -> Result<()> {
        self.collected = PutPayloadMut::new();
        Ok(())
    }
}
