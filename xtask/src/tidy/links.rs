//! Relative links of Markdown files: the target must exist, its heading too, inside the repository.

use super::Finding;
use super::workspace::Workspace;

pub(super) fn check(path: &str, text: &str, workspace: &Workspace) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (line, target) in targets(text) {
        if target.contains("://") || target.starts_with("mailto:") {
            continue;
        }
        let (file, anchor) = target.split_once('#').unwrap_or((target.as_str(), ""));
        let found = if file.is_empty() {
            Some(path.to_owned())
        } else {
            resolve(path, file)
        };
        let Some(found) = found else {
            findings.push(Finding::error(
                path,
                line,
                format!("the link `{target}` leaves the repository"),
            ));
            continue;
        };
        if found != path && !found.is_empty() && !workspace.paths.contains(&found) {
            findings.push(Finding::error(
                path,
                line,
                format!("the link `{target}` points at nothing"),
            ));
        } else if !anchor.is_empty()
            && let Some(text) = if found == path {
                Some(text)
            } else {
                workspace.files.get(&found).map(String::as_str)
            }
            && super::is(&found, "md")
            && !headings(text).any(|heading| slug(&heading) == anchor)
        {
            findings.push(Finding::error(
                path,
                line,
                format!("the link `{target}` points at no heading of {found}"),
            ));
        }
    }
    findings
}

/// The path that `link` in the file `from` means, relative to the root; `None` if it leaves the root.
fn resolve(from: &str, link: &str) -> Option<String> {
    let mut parts: Vec<&str> = match link.strip_prefix('/') {
        Some(_) => Vec::new(),
        None => from.split('/').collect(),
    };
    parts.pop();
    for part in link.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// Lines outside fenced code, counted from 1, with inline code blanked out.
fn prose(text: &str) -> impl Iterator<Item = (usize, String)> {
    let mut fenced = false;
    text.lines().enumerate().filter_map(move |(i, line)| {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
            return None;
        }
        let mut code = false;
        let visible = line
            .chars()
            .map(|c| {
                code ^= c == '`';
                if code { '`' } else { c }
            })
            .collect();
        (!fenced).then_some((i + 1, visible))
    })
}

/// Where the links of a text lead, with their lines: `[text](target)` and `[name]: target`.
fn targets(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (line, visible) in prose(text) {
        let mut rest = visible.as_str();
        while let Some(at) = rest.find("](") {
            rest = &rest[at + 2..];
            let end = rest.find(')').unwrap_or(rest.len());
            let target = rest[..end].split_whitespace().next().unwrap_or("");
            if !target.is_empty() {
                found.push((line, target.trim_matches(['<', '>']).to_owned()));
            }
        }
        if let Some((name, target)) = visible.split_once("]: ")
            && name.starts_with('[')
            && let Some(target) = target.split_whitespace().next()
        {
            found.push((line, target.to_owned()));
        }
    }
    found
}

fn headings(text: &str) -> impl Iterator<Item = String> {
    let mut fenced = false;
    text.lines().filter_map(move |line| {
        fenced ^= line.trim_start().starts_with("```");
        let title = line.trim_start_matches('#');
        (!fenced && title.len() < line.len() && title.starts_with(' '))
            .then(|| title.trim().to_owned())
    })
}

/// A heading as the usual viewers name it in a link.
fn slug(heading: &str) -> String {
    heading
        .to_lowercase()
        .chars()
        .filter_map(|c| match c {
            ' ' => Some('-'),
            c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workspace() -> Workspace {
        let mut workspace = Workspace::default();
        let format = "# Format\n\n## What `Ok` promises\n```\n# not a heading\n```\n";
        workspace
            .files
            .insert("docs/format/a.md".into(), format.into());
        for path in [
            "docs",
            "docs/format",
            "docs/format/a.md",
            "README.md",
            "LICENSE",
        ] {
            workspace.paths.insert(path.into());
        }
        workspace
    }

    fn found(path: &str, text: &str) -> Vec<String> {
        check(path, text, &workspace())
            .iter()
            .map(|f| f.text.clone())
            .collect()
    }

    #[test]
    fn good_links_pass() {
        let text = "# Here\n[a](format/a.md) [b](../LICENSE) [c](format/) [d](https://x.y/z) [e](#here)\n\
                    [f](format/a.md#what-ok-promises) `[g](nothing.md)`\n```\n[h](nothing.md)\n```\n[i]: ../README.md\n";
        assert_eq!(found("docs/x.md", text), Vec::<String>::new());
    }

    #[test]
    fn a_link_to_nothing_is_found_with_its_line() {
        let findings = check("docs/x.md", "\nsee [a](b.md)\n", &workspace());
        assert_eq!(
            findings[0].to_string(),
            "docs/x.md:2: the link `b.md` points at nothing"
        );
        assert_eq!(found("docs/x.md", "[i]: gone.md\n").len(), 1);
    }

    #[test]
    fn a_link_out_of_the_repository_or_to_no_heading_is_found() {
        assert!(found("docs/x.md", "[a](../../data/x)\n")[0].contains("leaves"));
        assert!(found("docs/x.md", "[a](format/a.md#nope)\n")[0].contains("no heading"));
        assert!(found("docs/x.md", "[a](format/a.md#not-a-heading)\n")[0].contains("no heading"));
        assert!(found("docs/x.md", "[a](#nope)\n")[0].contains("no heading"));
    }
}
