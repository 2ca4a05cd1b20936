//! What a run has reached, in a line for each domain and for the base, and what to try next.

use std::path::Path;

use domex_data::quoted;
use serde_json::Value as Json;

/// A judge that names the domain in fewer pictures doubts it.
const DOUBTED: f64 = 0.5;
/// A base that changed by more than this share of what its domains did was not held.
const MOVED: f64 = 0.5;
/// Domains that get a line each; those in doubt come first.
const MOST: usize = 12;

/// What the report measured of one domain.
struct Domain<'a> {
    name: &'a str,
    change: f64,
    loss: Option<(f64, f64)>,
    verdict: &'a str,
    reached: Option<f64>,
}

impl Domain<'_> {
    fn is_unchanged(&self) -> bool {
        self.verdict == "unchanged"
    }

    fn in_doubt(&self) -> bool {
        self.verdict != "changed" || self.reached.is_some_and(|reached| reached < DOUBTED)
    }

    fn line(&self) -> String {
        let mut line = match self.is_unchanged() {
            true => format!(
                "{}: pictures did not change ({:.3})",
                self.name, self.change
            ),
            false => format!("{}: pictures changed by {:.2}", self.name, self.change),
        };
        if let Some((first, last)) = self.loss {
            line += &format!(", loss {first:.2} to {last:.2}");
        }
        if let Some(reached) = self.reached {
            line += &format!(", a judge names it in {:.0} %", 100.0 * reached);
        }
        line
    }
}

/// The lines. `numbers` are a report's, `step` is how long the run was.
pub fn lines(numbers: &Json, out: &Path, step: u64) -> Vec<String> {
    let mut domains = domains(numbers);
    // Stable: the others keep the model's order.
    domains.sort_by_key(|domain| !domain.in_doubt());
    let shown = domains.iter().take(MOST);
    let mut lines: Vec<String> = shown
        .map(|domain| format!("domain    {}", domain.line()))
        .collect();
    if domains.len() > MOST {
        let more = domains.len() - MOST;
        lines.push(format!("domain    {more} more, all of them in the report"));
    }
    let base = numbers["base_pixel_change"].as_f64();
    lines.extend(base.map(|change| format!("base      pictures changed by {change:.2}")));
    let advice = advice(&domains, base, out, step);
    lines.extend(advice.into_iter().map(|line| format!("next      {line}")));
    lines
}

fn domains(numbers: &Json) -> Vec<Domain<'_>> {
    let list = |value: &'_ Json| {
        value
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default()
            .to_vec()
    };
    let judged = list(&numbers["judged"]["domains"]);
    let reached = |name: &str| {
        let found = judged.iter().find(|domain| domain["name"] == name)?;
        found["reached"].as_f64()
    };
    let rows = numbers["domains"].as_array().into_iter().flatten();
    rows.filter_map(|row| {
        let name = row["name"].as_str()?;
        Some(Domain {
            name,
            change: row["pixel_change"].as_f64()?,
            loss: row["loss_first"].as_f64().zip(row["loss_last"].as_f64()),
            verdict: row["verdict"].as_str()?,
            reached: reached(name),
        })
    })
    .collect()
}

fn advice(domains: &[Domain<'_>], base: Option<f64>, out: &Path, step: u64) -> Vec<String> {
    let mut advice = Vec::new();
    if domains.iter().any(Domain::is_unchanged) {
        advice.push(
            "where pictures did not change: other words or pictures, a larger --distance, or a higher --lr"
                .to_owned(),
        );
    }
    if domains.iter().any(Domain::in_doubt) {
        let more = 2 * step;
        let out = quoted(out);
        advice.push(format!(
            "more steps: domex expand --resume {out} --steps {more}"
        ));
    }
    let mean =
        domains.iter().map(|domain| domain.change).sum::<f64>() / domains.len().max(1) as f64;
    if base.is_some_and(|base| base > MOVED * mean) {
        advice.push(
            "the base moved with its domains: a higher --lambda-lpips and --lambda-l2, or a lower --lr, hold it"
                .to_owned(),
        );
    }
    if advice.is_empty() {
        let model = quoted(out.join("model.safetensors"));
        advice.push(format!(
            "domex generate --model {model} --domains all --seeds 0-7"
        ));
    }
    advice
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(domain: &Json, base: f64) -> String {
        let numbers = json!({
            "domains": [domain],
            "base_pixel_change": base,
            "judged": { "domains": [{ "name": "elf", "reached": 0.25 }] },
        });
        lines(&numbers, Path::new("run"), 100).join("\n")
    }

    fn domain(name: &str, change: f64, verdict: &str) -> Json {
        json!({
            "name": name, "pixel_change": change, "loss_first": 1.0, "loss_last": 0.5, "verdict": verdict,
        })
    }

    #[test]
    fn a_domain_that_changed_is_told_with_its_loss() {
        let told = told(&domain("zombie", 0.3, "changed"), 0.02);
        assert!(told.contains("zombie: pictures changed by 0.30, loss 1.00 to 0.50"));
        assert!(told.contains("base      pictures changed by 0.02"));
        assert!(told.contains("domex generate --model run/model.safetensors"));
    }

    #[test]
    fn a_domain_without_change_is_told_so_and_what_to_try() {
        let told = told(&domain("zombie", 0.004, "unchanged"), 0.0);
        assert!(told.contains("pictures did not change (0.004)"), "{told}");
        assert!(told.contains("--resume run --steps 200"), "{told}");
    }

    #[test]
    fn a_domain_that_the_judge_doubts_is_in_doubt() {
        let told = told(&domain("elf", 0.3, "changed"), 0.02);
        assert!(told.contains("a judge names it in 25 %"), "{told}");
        assert!(told.contains("more steps"), "{told}");
    }

    #[test]
    fn commands_that_are_proposed_take_any_folder() {
        let numbers = json!({ "domains": [domain("zombie", 0.3, "changed")] });
        let told = lines(&numbers, Path::new("my $runs"), 100).join("\n");
        assert!(
            told.contains("--model 'my $runs/model.safetensors' --domains"),
            "{told}"
        );
        let numbers = json!({ "domains": [domain("zombie", 0.0, "unchanged")] });
        let told = lines(&numbers, Path::new("my $runs"), 100).join("\n");
        assert!(told.contains("--resume 'my $runs' --steps"), "{told}");
    }

    #[test]
    fn a_base_that_moved_as_its_domains_did_is_told() {
        let told = told(&domain("zombie", 0.3, "changed"), 0.2);
        assert!(told.contains("the base moved"), "{told}");
    }
}
