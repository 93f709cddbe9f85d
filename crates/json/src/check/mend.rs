//! The repository's calls that mend what a check found.

use std::path::{Path, PathBuf};

use minutebook_core::DecisionId;

use crate::decisions::JsonDecisionRepository;
use crate::store::Store;

impl JsonDecisionRepository {
    /// Carries out what a writer that died had journaled, and writes the documents of these decisions again as the journal has them, durably.
    /// What their files hold is replaced. Gives the ids that the journal has.
    ///
    /// # Errors
    /// [`Unavailable`](minutebook_core::ErrorKind::Unavailable) if a file cannot be written, [`Locked`](minutebook_core::ErrorKind::Locked) if a
    /// writer is at work for too long, [`Corrupt`](minutebook_core::ErrorKind::Corrupt) if the journal's text is damaged.
    pub async fn restore_documents(
        &self,
        ids: Vec<DecisionId>,
    ) -> minutebook_core::Result<Vec<DecisionId>> {
        let dir = self.directory().display().to_string();
        self.work("repair", dir, move |store| store.restore(&ids))
            .await
    }

    /// Founds the journal anew, from the intact lines of one that is damaged: a line for the last state of each decision, with its revision and
    /// `recorded_at`. Earlier states are in the old journal alone, which gets the name `keep` (a free one, on the same file system), and in its
    /// [sealed files](Self::sealed_journal_files), which are moved from the first name to the second. Gives the number of lines.
    ///
    /// # Errors
    /// [`Unavailable`](minutebook_core::ErrorKind::Unavailable) if a file cannot be written; then the journal is as it was.
    pub async fn refound_journal(
        &self,
        keep: &Path,
        sealed: Vec<(PathBuf, PathBuf)>,
    ) -> minutebook_core::Result<u64> {
        let dir = self.directory().display().to_string();
        let keep = keep.to_owned();
        self.work("repair", dir, move |store| store.refound(&keep, &sealed))
            .await
    }

    /// The sealed files of the journal that are in the directory, compressed or not, by name.
    ///
    /// # Errors
    /// [`Unavailable`](minutebook_core::ErrorKind::Unavailable) if the directory cannot be listed.
    pub async fn sealed_journal_files(&self) -> minutebook_core::Result<Vec<PathBuf>> {
        let dir = self.directory().display().to_string();
        self.work("list", dir, Store::sealed_files).await
    }
}
