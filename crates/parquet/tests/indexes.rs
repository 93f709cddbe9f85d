//! Every form of index that pandas and pyarrow write: read, adopted as it is, or refused with a reason.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail the test"
)]

mod common;

use std::path::Path;

use common::indexes;

#[test]
fn files_of_pandas_2_and_3_and_pyarrow() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/indexes");
    for pandas in ["pandas2", "pandas3"] {
        indexes::check(&fixtures.join(pandas));
    }
}
