//! The card of an exported model, as model hubs show it: a page of Markdown.

use std::fmt::Write as _;

use crate::description::{Description, Dim, Port};

/// Letters of a task that are shown.
const LONGEST_TASK: usize = 200;

/// What hubs read.
const HEAD: &str = "---
library_name: onnx
pipeline_tag: unconditional-image-generation
tags:
- stylegan2
- onnx
- domain-expansion
---
";

/// How the example in Python begins.
const PYTHON: &str = r#"
## Python

```python
import numpy as np, onnxruntime

session = onnxruntime.InferenceSession(FILE)
draw = np.random.RandomState(0).randn
feeds = {
"#;

/// How the example in JavaScript begins.
const BROWSER: &str = r#"
## Browser

```js
import * as ort from "onnxruntime-web";

const session = await ort.InferenceSession.create(FILE);
const tensor = (values, shape) => new ort.Tensor("float32", values, shape);
const normal = () => Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());
const draw = (...shape) => tensor(Float32Array.from({ length: shape.reduce((a, b) => a * b) }, normal), shape);
const unit = size => tensor(Float32Array.from({ length: size }, (_, i) => Number(i === 0)), [1, size]);
const feeds = {
"#;

const LICENCE: &str = "
## Licence

Not said by the program: name here the licence under which the generator, and the pictures it was trained on, let you publish this.
";

const METHOD: &str =
    " The method is *Domain Expansion of Image Generators* (Nitzan et al., CVPR 2023).";

/// The card of the graph in `file`, a file's name. The licence is left to who publishes it.
#[must_use]
pub fn card(description: &Description, file: &str) -> String {
    let title = file.strip_suffix(".onnx").unwrap_or(file);
    let mut page = String::new();
    page.push_str(HEAD);
    // Writing to a string does not fail.
    let _ = writeln!(page, "\n# {}\n\n{}", cell(title), what(description));
    domains(&mut page, description);
    ports(&mut page, description);
    python(&mut page, description, file);
    browser(&mut page, description, file);
    page.push_str(LICENCE);
    page
}

fn what(description: &Description) -> String {
    let size = match description.output.shape.as_slice() {
        [_, channels, height, width] => format!("{width}×{height} pixels, {channels} channels"),
        _ => String::new(),
    };
    let (domains, method) = match description.domains.len() {
        0 => (String::new(), ""),
        1 => (", expanded with one domain".to_owned(), METHOD),
        count => (format!(", expanded with {count} domains"), METHOD),
    };
    format!(
        "A StyleGAN2 generator{domains}, as an ONNX graph of standard operators (opset {}): {size}. Written by {}.{method}",
        description.opset, description.program
    )
}

fn domains(page: &mut String, description: &Description) {
    if description.domains.is_empty() {
        return;
    }
    page.push_str("\n## Domains\n\n| place in `strengths` | domain | distance | how it was asked for |\n| --- | --- | --- | --- |\n");
    for (place, domain) in description.domains.iter().enumerate() {
        let task = match &domain.task {
            serde_json::Value::Null => String::new(),
            task => code(&task.to_string()),
        };
        let _ = writeln!(
            page,
            "| {place} | {} | {} | {task} |",
            cell(&domain.name),
            domain.distance
        );
    }
    page.push_str("\nStrength 0 is the generator's own domain, 1 the new one; in between they blend, and several add up.\n");
}

fn ports(page: &mut String, description: &Description) {
    page.push_str("\n## Inputs and output\n\nAll float32, all needed; n is yours to choose.\n\n| name | shape | what |\n| --- | --- | --- |\n");
    for port in description.inputs.iter().chain([&description.output]) {
        let shape: Vec<String> = port.shape.iter().map(Dim::to_string).collect();
        let _ = writeln!(
            page,
            "| `{}` | `[{}]` | {} |",
            port.name,
            shape.join(", "),
            port.meaning
        );
    }
}

fn python(page: &mut String, description: &Description, file: &str) {
    page.push_str(&PYTHON.replace("FILE", &format!("{file:?}")));
    for port in &description.inputs {
        let value = match first(port) {
            First::Drawn => format!("draw({})", one(port)),
            First::Latents => format!("np.zeros(({}))", one(port)),
            First::Number(number) => format!("np.array({number})"),
            First::Unit(size) => format!("np.eye(1, {size})"),
        };
        let note = if port.name == "w" {
            "  # your latents"
        } else {
            ""
        };
        let _ = writeln!(
            page,
            "    {:?}: {value}.astype(np.float32),{note}",
            port.name
        );
    }
    page.push_str(
        "}\nimage = session.run(None, feeds)[0]  # [1, channels, height, width], -1 to 1\n```\n",
    );
}

fn browser(page: &mut String, description: &Description, file: &str) {
    page.push_str(&BROWSER.replace("FILE", &format!("{file:?}")));
    for port in &description.inputs {
        let value = match first(port) {
            First::Drawn => format!("draw({})", one(port)),
            First::Latents => {
                let sizes = one(port).replace(", ", " * ");
                format!("tensor(new Float32Array({sizes}), [{}])", one(port))
            }
            First::Number(number) => format!("tensor([{number}], [])"),
            First::Unit(size) => format!("unit({size})"),
        };
        let note = if port.name == "w" {
            " // your latents"
        } else {
            ""
        };
        let _ = writeln!(page, "  {:?}: {value},{note}", port.name);
    }
    page.push_str(
        "};\nconst { image } = await session.run(feeds); // image.data, image.dims\n```\n",
    );
}

/// What an example gives an input.
enum First {
    Drawn,
    /// Those of somebody: drawn at random they are none of the network's.
    Latents,
    Number(f64),
    /// A one, and zeros.
    Unit(usize),
}

fn first(port: &Port) -> First {
    match (port.name.as_str(), port.shape.last()) {
        ("truncation", _) => First::Number(0.7),
        ("w", _) => First::Latents,
        ("strengths" | "c", Some(Dim::Size(size))) => First::Unit(*size),
        _ => First::Drawn,
    }
}

/// The shape for one sample: `1, 512`.
fn one(port: &Port) -> String {
    let sizes = port.shape.iter().map(|dim| match dim {
        Dim::Size(size) => size.to_string(),
        Dim::Named(_) => "1".to_owned(),
    });
    sizes.collect::<Vec<_>>().join(", ")
}

/// A text in a cell of a table or in a title: on one line, and with no sign that means something there.
fn cell(text: &str) -> String {
    let mut out = String::new();
    for sign in text.chars() {
        match sign {
            '\n' | '\r' | '\t' => out.push(' '),
            '|' | '\\' | '`' | '*' | '_' | '<' | '[' | '#' => out.extend(['\\', sign]),
            sign => out.push(sign),
        }
    }
    out
}

/// A text as code in a cell.
fn code(text: &str) -> String {
    let mut short: String = text.chars().take(LONGEST_TASK).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    let plain = short.replace('`', "'").replace('|', "\\|");
    format!("`{plain}`")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::description::Domain;

    fn description() -> Description {
        let n = Dim::Named("n");
        Description {
            program: "domex 0".to_owned(),
            opset: 17,
            inputs: vec![
                Port::new("z", vec![n, Dim::Size(8)], "noise"),
                Port::new("truncation", Vec::new(), "psi"),
                Port::new("strengths", vec![n, Dim::Size(2)], "how far"),
            ],
            output: Port::new(
                "image",
                vec![n, Dim::Size(3), Dim::Size(16), Dim::Size(16)],
                "",
            ),
            domains: ["a | b", "elf"]
                .map(|name| Domain {
                    name: name.to_owned(),
                    distance: 20.0,
                    task: json!({ "target": name }),
                })
                .to_vec(),
            provenance: json!({}),
        }
    }

    #[test]
    fn the_card_lists_the_domains_in_their_places() {
        let page = card(&description(), "elf.onnx");
        assert!(
            page.contains("| 0 | a \\| b | 20 | `{\"target\":\"a \\| b\"}` |"),
            "{page}"
        );
        assert!(page.contains("| 1 | elf | 20 |"), "{page}");
    }

    #[test]
    fn latents_are_left_to_the_reader() {
        let mut description = description();
        let shape = vec![Dim::Named("n"), Dim::Size(6), Dim::Size(8)];
        description.inputs[0] = Port::new("w", shape, "latents");
        let page = card(&description, "elf.onnx");
        let python = "    \"w\": np.zeros((1, 6, 8)).astype(np.float32),  # your latents";
        let browser = "  \"w\": tensor(new Float32Array(1 * 6 * 8), [1, 6, 8]), // your latents";
        assert!(page.contains(python) && page.contains(browser), "{page}");
    }

    #[test]
    fn the_examples_feed_every_input() {
        let page = card(&description(), "elf.onnx");
        for line in [
            "    \"z\": draw(1, 8).astype(np.float32),",
            "    \"truncation\": np.array(0.7).astype(np.float32),",
            "    \"strengths\": np.eye(1, 2).astype(np.float32),",
            "  \"z\": draw(1, 8),",
            "  \"truncation\": tensor([0.7], []),",
            "  \"strengths\": unit(2),",
        ] {
            assert!(page.contains(line), "{line} is not in: {page}");
        }
    }
}
