//! Bad input gets one clear line with the place and a way out, a code that is not 0, and changes nothing.
#![allow(
    clippy::unwrap_used,
    clippy::format_push_string,
    clippy::format_collect,
    reason = "a test stops where something is not as it should be, and is plain before it is fast"
)]

mod common;

use common::World;
use minutebook::parquet::{SaveParquet, save_parquet};
use minutebook::{Bar, Row, time::from_nanos};

const BARS: &str = "date,open,high,low,close,volume\n2024-01-01,1,2,0.5,1.5,10\n";

#[test]
fn no_such_store() {
    let world = World::bare();
    for args in [
        &["decision", "list"][..],
        &["bars", "list"],
        &["ticks", "list"],
        &["catalog", "list"],
        &["decision", "count"],
    ] {
        world.refused(
            args,
            "",
            3,
            &["book: there is no such directory", "minutebook init"],
        );
    }
    world.file("letter.txt", "dear sir");
    let here = world.dir().to_str().unwrap();
    world.refused(
        &["--store", here, "decision", "list"],
        "",
        3,
        &["there is no store in this directory", "minutebook init"],
    );
    let file = world.file("plain", "x");
    world.refused(
        &["--store", &file, "decision", "list"],
        "",
        2,
        &["plain", "no directory"],
    );
}

#[test]
fn no_such_file() {
    let world = World::new();
    world.refused(
        &["bars", "import", "X", "1d", "nope.csv"],
        "",
        3,
        &["nope.csv", "check the path"],
    );
    world.refused(
        &["ticks", "append", "X", "nope.jsonl"],
        "",
        3,
        &["nope.jsonl"],
    );
    world.refused(&["decision", "add", "nope.json"], "", 3, &["nope.json"]);
    world.refused(&["decision", "add", "."], "", 5, &["this is a directory"]);
}

#[test]
fn wrong_settings() {
    let world = World::new();
    std::fs::write(
        world.store().join("minutebook.toml"),
        "\n[decisions]\nstorage_pth = \"x\"\n",
    )
    .unwrap();
    world.refused(
        &["decision", "list"],
        "",
        2,
        &["minutebook.toml", "line 3", "storage_pth", "storage_path"],
    );
    std::fs::write(world.store().join("minutebook.toml"), "").unwrap();
    let mut command = world.command();
    command
        .args(["decision", "list"])
        .env("MINUTEBOOK_DURABILITY", "never");
    let ran = common::finish(command, b"");
    assert_eq!(ran.code, 2);
    assert_eq!(
        ran.stderr,
        "error: MINUTEBOOK_DURABILITY: \"never\" is no durability; write synced or buffered\n"
    );
}

#[test]
fn decision_documents() {
    let world = World::new();
    let long = "x".repeat(300);
    let cases = [
        (
            "{\"id\": \"a\"}\n{\"action\": \"BUY\"}\n".to_owned(),
            vec!["line 2", "no \"id\"", "--generate-id"],
        ),
        (
            "{\"id\": \"a\"}\n{\"id\": \"b\", }\n".to_owned(),
            vec!["line 2", "not a JSON object"],
        ),
        (
            "{\"id\": \"a\"}\n\n{\"id\": \"a\"}\n".to_owned(),
            vec!["line 3", "on line 1 already"],
        ),
        (
            "{\"id\": \"a/b\"}".to_owned(),
            vec!["line 1", "a/b", "\"/\""],
        ),
        ("{\"id\": \"..\"}".to_owned(), vec!["line 1", "\"..\""]),
        (
            format!("{{\"id\": \"{long}\"}}"),
            vec!["line 1", "300 bytes", "200"],
        ),
        ("{\"id\": 7}".to_owned(), vec!["line 1", "no string"]),
        (
            "{\"id\": \"a\", \"timestamp\": \"soon\"}".to_owned(),
            vec!["line 1", "soon", "2025-12-31"],
        ),
        (
            "{\"id\": \"a\", \"x\": 1, \"x\": 2}".to_owned(),
            vec!["line 1", "twice"],
        ),
        ("{\"id\": \"a\", \"x\": NaN}".to_owned(), vec!["line 1"]),
        ("[1, 2]".to_owned(), vec!["line 1"]),
        (String::new(), vec!["no document"]),
    ];
    for (text, says) in &cases {
        world.refused(&["decision", "add"], text, 5, says);
        let file = world.file("in.json", text);
        let mut named = says.clone();
        named.push("in.json");
        world.refused(&["decision", "add", &file], "", 5, &named);
    }
    let ran = world.run_with(&["decision", "add"], b"{\"id\": \"a\", \"x\": \"\xff\"}");
    assert_eq!(ran.code, 5);
    assert!(ran.stderr.contains("line 1: not UTF-8"), "{}", ran.stderr);

    world.ok_with(&["decision", "add"], "{\"id\": \"there\"}");
    let text = "{\"id\": \"new\"}\n{\"id\": \"there\"}";
    world.refused(
        &["decision", "add"],
        text,
        4,
        &["line 2", "there is a decision there already", "--upsert"],
    );
}

#[test]
fn ids_symbols_timeframes_and_ranges_on_the_command_line() {
    let world = World::new();
    let long = "x".repeat(300);
    for command in ["get", "delete"] {
        world.refused(
            &["decision", command, "../../etc/passwd"],
            "",
            2,
            &["\"/\""],
        );
        world.refused(&["decision", command, ".."], "", 2, &["\"..\""]);
        world.refused(&["decision", command, &long], "", 2, &["300 bytes"]);
        world.refused(&["decision", command, ""], "", 2, &["empty"]);
    }
    world.refused(
        &["decision", "get", "nope"],
        "",
        3,
        &["nope: there is no such decision"],
    );
    let range = ["--since", "2025-02-01", "--until", "2025-01-01"];
    for command in [
        &["decision", "list"][..],
        &["decision", "count"],
        &["bars", "read", "X", "1d"],
        &["ticks", "read", "X"],
        &["catalog", "list"],
    ] {
        let args: Vec<&str> = command.iter().copied().chain(range).collect();
        world.refused(&args, "", 2, &["the range is inverted", "swap"]);
    }
    world.refused(
        &["decision", "list", "--since", "yesterday"],
        "",
        2,
        &["yesterday", "2025-12-31"],
    );
    for timeframe in ["1x", "hourly", "0m", "-1h"] {
        world.refused(
            &["bars", "read", "X", "--", timeframe],
            "",
            2,
            &["timeframe", "1m, 15m, 1h"],
        );
    }
    let file = world.file("b.csv", BARS);
    world.refused(
        &["bars", "import", "X", "1x", &file],
        "",
        2,
        &["1x", "timeframe"],
    );
    world.refused(
        &["bars", "import", "", "1d", &file],
        "",
        2,
        &["SYMBOL", "empty"],
    );
    world.refused(&["decision", "list", "--after", "here"], "", 2, &["cursor"]);
    world.refused(
        &[
            "decision",
            "list",
            "--after",
            "oldest|2025-01-01T00:00:00Z|a",
        ],
        "",
        5,
        &["order"],
    );
    world.refused(
        &["decision", "list", "--field", "executed"],
        "",
        2,
        &["/pointer=value"],
    );
    world.refused(
        &["ticks", "read", "X"],
        "",
        3,
        &["X@ticks: there is no such series"],
    );
    world.ok(&["bars", "import", "X", "1d", &file]);
    world.refused(
        &["bars", "read", "X", "1d", "--columns", "clse"],
        "",
        2,
        &["clse", "open, high, low, close"],
    );
}

#[test]
fn bars() {
    let world = World::new();
    let head = "date,open,high,low,close,volume\n";
    for (text, says) in [
        (
            format!("{head}2024-01-01,1,2,0.5,1.5,10\n2024-01-02,1,2,abc,1.5,10\n"),
            vec!["line 3", "low", "\"abc\" is no number"],
        ),
        (
            format!("{head}2024-01-01,1,2,0.5,1.5,10\nsoon,1,2,0.5,1.5,10\n"),
            vec!["line 3", "soon", "--time-format"],
        ),
        (
            format!("{head}2024-01-01,1,2,0.5,1.5,10\n\n2024-01-02,1,2\n"),
            vec!["line 4", "3 cells", "heading has 6"],
        ),
        (
            format!("{head},1,2,0.5,1.5,10\n"),
            vec!["line 2", "time is empty"],
        ),
        (
            "date,open,high,low,close\n2024-01-01,1,2,0.5,1.5\n".to_owned(),
            vec!["\"volume\"", "--no-volume"],
        ),
        (
            "a,b\n1,2\n".to_owned(),
            vec!["\"timestamp\"", "--time-column", "a, b"],
        ),
        (head.to_owned(), vec!["no bar"]),
        (String::new(), vec!["empty"]),
        (
            "{\"date\": \"2024-01-01\"\n".to_owned(),
            vec!["line 1", "not a JSON object"],
        ),
    ] {
        let file = world.file("bars.csv", &text);
        world.refused(&["bars", "import", "X", "1d", &file], "", 5, &says);
    }
    let file = world.file("bars.csv", BARS);
    world.refused(
        &["bars", "import", "X", "1d", &file, "--time-column", "when"],
        "",
        2,
        &["when", "date, open"],
    );
    world.refused(
        &["bars", "import", "X", "1d", &file, "--timezone", "Mars"],
        "",
        2,
        &["--timezone", "-05:00"],
    );
    world.refused(
        &["bars", "import", "1d", &file],
        "",
        2,
        &["--symbol-column"],
    );
    let rows: String = (0..5_000)
        .map(|n| {
            format!(
                "{},1,2,0.5,1.5,{}\n",
                1_700_000_000 + n * 60,
                n * 7_919 % 10_007
            )
        })
        .collect();
    let gzip = common::gzip(format!("{head}{rows}").as_bytes());
    let file = world.file("bars.gz", &gzip[..gzip.len() / 2]);
    world.refused(&["bars", "import", "X", "1d", &file], "", 5, &["cut short"]);
}

#[test]
fn a_parquet_file_that_is_cut_short() {
    let world = World::new();
    let bars: Vec<_> = (0..1_000)
        .map(|n| Bar {
            timestamp: from_nanos(n * 1_000_000_000),
            open: 1.0,
            high: 1.0,
            low: 1.0,
            close: 1.0,
            volume: 1.0,
        })
        .collect();
    let path = world.dir().join("whole.parquet");
    save_parquet(
        &[Bar::to_batch(&bars).unwrap()],
        &path,
        &SaveParquet::default(),
    )
    .unwrap();
    let whole = std::fs::read(&path).unwrap();
    for kept in [whole.len() - 1, whole.len() / 2, 8] {
        let file = world.file("cut.parquet", &whole[..kept]);
        world.refused(
            &["bars", "import", "X", "1s", &file],
            "",
            6,
            &["cut.parquet"],
        );
        world.refused(
            &["catalog", "register", "x", &file, "--instrument", "X"],
            "",
            6,
            &["cut.parquet"],
        );
    }
    world.refused(
        &["ticks", "append", "X", path.to_str().unwrap()],
        "",
        5,
        &["Parquet"],
    );
}
