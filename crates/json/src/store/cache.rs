//! Parsed documents, kept by file name and used only while the file's bytes are the same.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::codec::{Digest, Document};

/// Larger documents are parsed again: the cache is bounded in bytes too.
const MAX_DOCUMENT: usize = 64 << 10;

#[derive(Debug)]
struct Kept {
    bytes: Box<[u8]>,
    document: Arc<Document>,
    /// Whether the digest was made from the bytes, and is not only that of the state which the file's looks promise.
    proved: bool,
}

#[derive(Debug, Default)]
struct Generations {
    young: HashMap<Arc<str>, Arc<Kept>>,
    old: HashMap<Arc<str>, Arc<Kept>>,
}

/// A cache in two generations: what was not used while the young one filled up is forgotten.
#[derive(Debug)]
pub(crate) struct Cache {
    /// At most so many documents in each generation.
    half: usize,
    generations: Mutex<Generations>,
}

impl Cache {
    /// A cache of at most so many documents; 0 keeps none.
    pub(crate) fn new(max: usize) -> Self {
        Self {
            half: max.div_ceil(2),
            generations: Mutex::default(),
        }
    }

    /// The document, if these are the bytes that it was read from. Its digest is that of the bytes.
    pub(crate) fn get(&self, name: &Arc<str>, bytes: &[u8]) -> Option<Arc<Document>> {
        let kept = self.find(name)?;
        (kept.proved && *kept.bytes == *bytes).then(|| Arc::clone(&kept.document))
    }

    /// The document, if it has this digest: for files that are known to have not changed.
    pub(crate) fn kept(&self, name: &Arc<str>, digest: Digest) -> Option<Arc<Document>> {
        self.seen(name, digest, true)
    }

    /// As [`kept`](Self::kept), also if nobody has made sure that the bytes have it.
    pub(crate) fn promised(&self, name: &Arc<str>, digest: Digest) -> Option<Arc<Document>> {
        self.seen(name, digest, false)
    }

    fn seen(&self, name: &Arc<str>, digest: Digest, proved: bool) -> Option<Arc<Document>> {
        let kept = self.find(name)?;
        let fits = kept.document.digest == digest && kept.proved >= proved;
        fits.then(|| Arc::clone(&kept.document))
    }

    fn find(&self, name: &Arc<str>) -> Option<Arc<Kept>> {
        if self.half == 0 {
            return None;
        }
        let mut generations = self
            .generations
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = generations.young.get(name) {
            return Some(Arc::clone(kept));
        }
        let kept = generations.old.remove(name)?;
        self.insert(&mut generations, name, Arc::clone(&kept));
        Some(kept)
    }

    /// Keeps a document whose digest was made from it.
    pub(crate) fn put(&self, name: &Arc<str>, bytes: Vec<u8>, document: &Arc<Document>) {
        self.keep(name, bytes, document, true);
    }

    /// Keeps a document whose digest is that of the state which the file's looks promise. Only who asks for [that](Self::promised) is given it.
    pub(crate) fn put_promised(&self, name: &Arc<str>, bytes: Vec<u8>, document: &Arc<Document>) {
        self.keep(name, bytes, document, false);
    }

    fn keep(&self, name: &Arc<str>, bytes: Vec<u8>, document: &Arc<Document>, proved: bool) {
        if self.half == 0 || bytes.len() > MAX_DOCUMENT {
            return;
        }
        let kept = Arc::new(Kept {
            bytes: bytes.into(),
            document: Arc::clone(document),
            proved,
        });
        let mut generations = self
            .generations
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        self.insert(&mut generations, name, kept);
    }

    fn insert(&self, generations: &mut Generations, name: &Arc<str>, kept: Arc<Kept>) {
        if generations.young.len() >= self.half {
            generations.old = std::mem::take(&mut generations.young);
        }
        generations.young.insert(Arc::clone(name), kept);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use minutebook_core::Decision;

    fn document(id: &str) -> Arc<Document> {
        Arc::new(Document::new(Decision::new(id.parse().unwrap())))
    }

    #[test]
    fn other_bytes_are_another_document() {
        let cache = Cache::new(10);
        let name: Arc<str> = "a".into();
        cache.put(&name, b"one".to_vec(), &document("a"));
        assert!(cache.get(&name, b"one").is_some());
        assert!(cache.get(&name, b"two").is_none());
    }

    #[test]
    fn a_digest_that_nobody_made_is_given_to_who_asks_for_it_alone() {
        let cache = Cache::new(10);
        let name: Arc<str> = "a".into();
        let document = document("a");
        let digest = document.digest;
        cache.put_promised(&name, b"one".to_vec(), &document);
        assert!(cache.get(&name, b"one").is_none());
        assert!(cache.kept(&name, digest).is_none());
        assert!(cache.promised(&name, digest).is_some());
        cache.put(&name, b"one".to_vec(), &document);
        assert!(cache.get(&name, b"one").is_some() && cache.kept(&name, digest).is_some());
        assert!(cache.promised(&name, digest).is_some());
    }

    #[test]
    fn it_is_bounded_and_keeps_what_is_used() {
        let cache = Cache::new(10);
        let first: Arc<str> = "0".into();
        cache.put(&first, b"x".to_vec(), &document("0"));
        for i in 1..100 {
            cache.put(&i.to_string().into(), b"x".to_vec(), &document("a"));
            assert!(cache.get(&first, b"x").is_some(), "{i}");
        }
        let generations = cache.generations.lock().unwrap();
        assert!(generations.young.len() + generations.old.len() <= 10);
        drop(generations);
        let none = Cache::new(0);
        none.put(&first, b"x".to_vec(), &document("0"));
        assert!(none.get(&first, b"x").is_none());
    }
}
