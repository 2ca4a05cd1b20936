//! The configuration that lies beside a checkpoint's weights.
//!
//! Head count and activation leave no trace in the shapes, and a network that is run with others gives features that are
//! merely wrong. Published networks say both in a file beside the weights:
//!
//! | file | of | heads | activation |
//! | --- | --- | --- | --- |
//! | `config.json` | huggingface/transformers | `num_attention_heads`; where absent 12 (image), 8 (text) | `hidden_act`; where absent quick GELU |
//! | `open_clip_config.json` | open_clip | `width / head_width`, 64 where absent (image), `heads`, 8 where absent (text) | `quick_gelu`; where absent GELU |
//!
//! Defaults are those programs' own. Where both files are there, the one of the weights' layout counts.

use std::io::Read as _;
use std::path::Path;

use serde_json::{Value as Json, json};

use crate::config::{Activation, HEAD_WIDTH, VisionConfig};
use crate::layout::Layout;
use crate::preprocess::{MEAN, STD};
use crate::{Config, Error, Result};

const HUGGING_FACE: &str = "config.json";
const OPEN_CLIP: &str = "open_clip_config.json";

/// No configuration is longer.
const LARGEST: u64 = 1 << 20;

/// `config` with what the file beside the weights at `path` says of it; `None` where there is no such file.
///
/// # Errors
///
/// A file that is no such configuration, or contradicts the tensors; it is named.
pub(crate) fn config(path: &Path, layout: Layout, config: &Config) -> Result<Option<Config>> {
    let names = match layout {
        Layout::HuggingFace => [HUGGING_FACE, OPEN_CLIP],
        Layout::OpenAi => [OPEN_CLIP, HUGGING_FACE],
    };
    for name in names {
        let file = path.with_file_name(name);
        let Some(json) = read(&file)? else { continue };
        let config = config.clone();
        let found = match name {
            HUGGING_FACE if json.get("text_config").is_some_and(Json::is_object) => {
                config.with_hugging_face(&with_defaults(json))
            }
            OPEN_CLIP => config.with_open_clip(&json),
            // Of something else in the same folder.
            _ => continue,
        };
        return found.map(Some).map_err(|error| of_file(&file, error));
    }
    Ok(None)
}

fn read(file: &Path) -> Result<Option<Json>> {
    if !file.is_file() {
        return Ok(None);
    }
    let wrong =
        |problem: &dyn std::fmt::Display| Error::not_clip(format!("{}: {problem}", file.display()));
    let mut text = String::new();
    let open = std::fs::File::open(file).map_err(|error| wrong(&error))?;
    let read = open.take(LARGEST).read_to_string(&mut text);
    read.map_err(|error| wrong(&error))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let json = serde_json::from_str(text).map_err(|error| wrong(&error))?;
    Ok(Some(json))
}

/// The error with the file's name.
fn of_file(file: &Path, error: Error) -> Error {
    match error {
        Error::Config {
            what,
            found,
            expected,
        } => Error::Config {
            what: format!("{what} in {}", file.display()),
            found,
            expected,
        },
        other => other,
    }
}

/// Hugging Face's files leave out what is the default of its program.
fn with_defaults(mut json: Json) -> Json {
    for (part, heads) in [("vision_config", 12), ("text_config", 8)] {
        let entries = json.get_mut(part).and_then(Json::as_object_mut);
        if let Some(entries) = entries {
            entries.entry("num_attention_heads").or_insert(json!(heads));
            entries.entry("hidden_act").or_insert(json!("quick_gelu"));
        }
    }
    json
}

impl Config {
    /// The same network with what an `open_clip_config.json` says about it beyond the shapes: heads and activation.
    ///
    /// # Errors
    ///
    /// A number that is out of range, or pictures that are prepared in another way than OpenAI's.
    pub fn with_open_clip(mut self, json: &Json) -> Result<Self> {
        let model = json.get("model_cfg").unwrap_or(json);
        let (vision, text) = (&model["vision_cfg"], &model["text_cfg"]);
        if !(vision.is_object() && text.is_object()) {
            return Err(Error::config(
                "model_cfg",
                "without vision_cfg or text_cfg",
                "both",
            ));
        }
        let count = |json: &Json, key: &str, default: usize| match &json[key] {
            Json::Null => Ok(default),
            value => value
                .as_u64()
                .and_then(|n| usize::try_from(n).ok())
                .ok_or_else(|| Error::config(key, value, "a whole number")),
        };
        let activation = match &model["quick_gelu"] {
            Json::Null | Json::Bool(false) => Activation::Gelu,
            Json::Bool(true) => Activation::QuickGelu,
            other => return Err(Error::config("quick_gelu", other, "true or false")),
        };
        for (key, ours) in [("mean", MEAN), ("std", STD)] {
            let stated = json["preprocess_cfg"][key].as_array();
            let near = |(a, b): (&Json, &f64)| a.as_f64().is_some_and(|a| (a - b).abs() < 1e-3);
            if stated.is_some_and(|stated| !stated.iter().zip(&ours).all(near)) {
                let found = &json["preprocess_cfg"][key];
                let expected = format!("{ours:?}, as CLIP networks have");
                return Err(Error::config(
                    format!("preprocess_cfg {key}"),
                    found,
                    expected,
                ));
            }
        }
        let head_width = count(vision, "head_width", HEAD_WIDTH)?.max(1);
        match &mut self.vision {
            VisionConfig::Vit(vit) => {
                vit.transformer.heads = vit.transformer.width / head_width;
                vit.transformer.activation = activation;
            }
            VisionConfig::ResNet(resnet) => resnet.heads = 32 * resnet.width / head_width,
        }
        self.text.transformer.heads = count(text, "heads", 8)?;
        self.text.transformer.activation = activation;
        self.validate()?;
        Ok(self)
    }
}
