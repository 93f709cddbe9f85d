//! What the files and the journal say of each decision, held against each other.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use minutebook_core::check::{FindingKind, Mend};
use minutebook_core::{DecisionId, ProblemKind};

use super::{Check, Claim, Content, MARK};
use crate::journal::Known;
use crate::layout;

impl Check<'_> {
    pub(super) fn judge(&self, names: &BTreeSet<Arc<str>>) {
        let mut held: HashMap<&str, &DecisionId> = HashMap::new();
        for (id, known) in &self.walk.known {
            held.insert(&known.file, id);
        }
        let mut spoken_for: HashSet<&DecisionId> = HashSet::new();
        for (name, content) in &self.files {
            if let Content::Bad { digest, .. } = content {
                let id = held.get(&**name).copied();
                spoken_for.extend(id);
                // Text that is wider than JSON and was saved so.
                let known = id.and_then(|id| self.walk.known.get(id));
                if known.is_some_and(|known| known.raw && *digest == Some(known.token.digest)) {
                    continue;
                }
                if id.is_none_or(|id| !self.walk.is_pending(id)) {
                    self.bad(name, content, id);
                }
            }
        }
        let by_id = self.by_id();
        for (id, files) in &by_id {
            if !self.walk.is_pending(id) {
                self.decision(id, files, names);
            }
        }
        for (id, known) in &self.walk.known {
            if by_id.contains_key(id) || spoken_for.contains(id) || self.walk.is_pending(id) {
                continue;
            }
            let cause = "the journal has it and no file does: it was lost, or another program removed it and no writer has noted that";
            self.watch.found(
                self.finding(FindingKind::DecisionMissing, &known.file, cause)
                    .about(id)
                    .mended_by(Mend::Backend),
            );
        }
    }

    /// A file that is no decision; `id` is the one that the journal says is in it.
    fn bad(&self, name: &str, content: &Content, id: Option<&DecisionId>) {
        let Content::Bad {
            kind,
            message,
            location,
            damaged,
            marked,
            ..
        } = content
        else {
            return;
        };
        let (kind, mend, lost) = match (kind, id) {
            (ProblemKind::Unreadable, _) => (FindingKind::Unreadable, Mend::Hopeless, false),
            _ if *marked => {
                let mend = Mend::TakeOut {
                    from: 0,
                    to: Some(MARK.len() as u64),
                    lock: Some(self.dir.join(layout::LOCK)),
                };
                (FindingKind::DecisionMarked, mend, false)
            }
            (_, Some(_)) if *damaged => (FindingKind::DecisionTorn, Mend::Backend, false),
            (_, Some(_)) => (FindingKind::DecisionSpoiled, Mend::Backend, false),
            (_, None) if *damaged => (FindingKind::DecisionTorn, Mend::MoveAway, true),
            (_, None) => (FindingKind::DecisionRefused, Mend::Leave, false),
        };
        let mut finding = self
            .finding(kind, name, message)
            .at(*location)
            .mended_by(mend);
        finding.lost = lost;
        finding.subject = id.map(ToString::to_string);
        self.watch.found(finding);
    }

    fn decision(&self, id: &DecisionId, files: &[Claim<'_>], names: &BTreeSet<Arc<str>>) {
        let newest = files
            .iter()
            .max_by(|a, b| (a.1, &**a.0).cmp(&(b.1, &**b.0)));
        let Some((name, time, digest)) = newest else {
            return;
        };
        for (other, ..) in files {
            if other != name {
                let cause = format!("{name} claims the same id and counts, being newer");
                self.watch.found(
                    self.finding(FindingKind::DecisionDuplicate, other, cause)
                        .about(id)
                        .mended_by(Mend::MoveAway),
                );
            }
        }
        let known = self.walk.known.get(id);
        if let Some(known) = known
            && known.token.digest != *digest
        {
            let cause = format!(
                "another program edited it after {}",
                minutebook_core::time::format_timestamp(known.at)
            );
            self.watch.found(
                self.finding(FindingKind::DecisionEdited, name, cause)
                    .about(id),
            );
        }
        self.name(id, name, *time, known, names);
    }

    /// Whether the file is called what it holds.
    fn name(
        &self,
        id: &DecisionId,
        name: &Arc<str>,
        time: DateTime<Utc>,
        known: Option<&Known>,
        names: &BTreeSet<Arc<str>>,
    ) {
        if known.is_some_and(|known| known.file == *name && !known.is_foreign())
            || layout::id_of(name).as_ref() == Some(id)
        {
            return;
        }
        let plain = layout::file_name(time, id).ok();
        let tagged = layout::tagged_file_name(time, id).ok();
        if plain.as_deref() == Some(&**name) || tagged.as_deref() == Some(&**name) {
            return;
        }
        let before = known.map(|known| known.file.to_string());
        let free = before
            .into_iter()
            .chain(plain)
            .chain(tagged)
            .find(|wanted| !names.contains(wanted.as_str()));
        let mend = free.map_or(Mend::Hopeless, |wanted| Mend::Rename(self.dir.join(wanted)));
        let cause = "the id inside is another one than the name says";
        self.watch.found(
            self.finding(FindingKind::DecisionMisnamed, name, cause)
                .about(id)
                .mended_by(mend),
        );
    }
}
