//! The index against what was put into it.

use super::*;
use crate::codec::Token;
use minutebook_core::time::parse_timestamp;

fn content(index: &mut Index, text: &str) -> (DecisionId, Content) {
    let decision = Decision::from_json(text).unwrap();
    let time = parse_timestamp("2025-01-01").unwrap();
    let content = Content {
        time,
        at: time,
        token: Token::NONE,
        journaled: false,
        facts: index.facts(&decision),
    };
    (decision.id().clone(), content)
}

#[test]
fn every_view_follows_a_change() {
    let mut index = Index::default();
    let name: Arc<str> = "2025-01-01_a.json".into();
    index.relist(vec![Arc::clone(&name)], BTreeMap::new());
    let (id, first) = content(&mut index, r#"{"id":"a","asset_pair":"ETHUSD"}"#);
    assert_eq!(
        (
            index.files_of(&id).len(),
            index.unchecked().len(),
            index.by_time().len()
        ),
        (1, 1, 0)
    );
    assert_eq!(index.plain_count(), None);
    index.place(Arc::clone(&name), id.clone(), first, None);
    assert_eq!(
        (
            index.files_of(&id).len(),
            index.suspects().len(),
            index.plain_count()
        ),
        (1, 0, Some(1))
    );
    let pair = index.words().pair("ethusd").unwrap();
    assert_eq!(index.of_pair(pair).unwrap().len(), 1);
    let (other, second) = content(&mut index, r#"{"id":"b"}"#);
    index.place(Arc::clone(&name), other.clone(), second.clone(), None);
    assert_eq!(
        (
            index.files_of(&id).len(),
            index.files_of(&other).len(),
            index.by_written().len()
        ),
        (0, 1, 1)
    );
    assert_eq!(index.of_pair(pair).unwrap().len(), 0);
    assert!(index.row(&name).unwrap().misnamed);
    index.place("2025-01-01_b.json".into(), other.clone(), second, None);
    assert_eq!(
        (index.files_of(&other).len(), index.plain_count()),
        (2, None)
    );
    index.remove(&name);
    assert_eq!(
        (index.files_of(&other).len(), index.plain_count()),
        (1, Some(1))
    );
    index.doubt(&"2025-01-01_b.json".into());
    assert_eq!((index.unchecked().len(), index.plain_count()), (1, None));
    index.relist(Vec::new(), BTreeMap::new());
    assert_eq!(
        (
            index.rows.len(),
            index.by_time().len(),
            index.files_of(&other).len()
        ),
        (0, 0, 0)
    );
}
