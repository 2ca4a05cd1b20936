//! The commands that the README shows, read from the README, so that the two cannot differ.
//!
//! A command stands in the fenced block after a comment such as `<!-- test-command -->`, which a
//! reader of the page does not see.

use std::path::Path;

use domex_error::{Context, Result, bail};

/// The comment before the command that tests.
pub const TEST: &str = "<!-- test-command -->";

/// The comment before the command that runs.
pub const RUN: &str = "<!-- run-command -->";

/// The command after `marker`: the lines of the next fenced block, without prompts.
pub fn command(root: &Path, marker: &str) -> Result<String> {
    let path = root.join("README.md");
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    match after_marker(&text, marker) {
        Some(command) => Ok(command),
        None => bail!("README.md: no fenced block with a command after `{marker}`"),
    }
}

fn after_marker(text: &str, marker: &str) -> Option<String> {
    let (_, rest) = text.split_once(marker)?;
    let mut lines = rest
        .lines()
        .skip_while(|line| !line.trim_start().starts_with("```"));
    lines.next()?;
    let block: Vec<_> = lines
        .take_while(|line| !line.trim_start().starts_with("```"))
        .map(|line| line.trim_start_matches("$ ").trim_end())
        .filter(|line| !line.is_empty())
        .collect();
    (!block.is_empty()).then(|| block.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::after_marker;

    #[test]
    fn finds_the_block_after_the_marker() {
        let page = "```sh\nno\n```\n<!-- m -->\nTest it:\n\n```sh\n$ cargo test\n```\n";
        assert_eq!(
            after_marker(page, "<!-- m -->").as_deref(),
            Some("cargo test")
        );
        assert_eq!(after_marker(page, "<!-- other -->"), None);
        assert_eq!(after_marker("<!-- m -->\ntext", "<!-- m -->"), None);
    }
}
