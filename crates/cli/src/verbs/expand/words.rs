//! Words of a run's tasks that its CLIP models do not know.

use domex_expand::{Networks, TaskSpec};

/// A notice for each such word; models that read alike say it once.
pub fn notices(tasks: &[TaskSpec], networks: &Networks) -> domex_error::Result<Vec<String>> {
    let mut notices = Vec::new();
    for task in tasks {
        for text in task.kind()?.texts(task) {
            for guide in &networks.clip {
                for unknown in guide.tokenizer.unknown_words(&text)? {
                    let near = match unknown.nearest.is_empty() {
                        true => "no word it knows is like it".to_owned(),
                        false => format!("nearest it knows: {}", unknown.nearest.join(", ")),
                    };
                    let why = match guide.tokenizer.is_closed() {
                        true => {
                            "its vocabulary is that of its training captions; a published CLIP, such as --clip ViT-B/32, reads free text"
                        }
                        false => {
                            "it reads the letters one by one; use words that captions on the web have"
                        }
                    };
                    let notice = format!(
                        "{}: CLIP does not know the word {:?} ({near}): {why}",
                        task.name(),
                        unknown.word
                    );
                    if !notices.contains(&notice) {
                        notices.push(notice);
                    }
                }
            }
        }
    }
    Ok(notices)
}
