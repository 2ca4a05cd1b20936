//! A film: from one keyframe to the next and, as a loop, back to the first.

use domex_data::animation::{Animation, Format};
use image::RgbImage;
use serde::Deserialize;

use crate::engine::{Frame, Info};
use crate::refusal::Refusal;
use crate::settings::Settings;

/// No film may have more pixels in all its frames, as they are written.
const MOST_PIXELS: u64 = 96 << 20;

/// The side to which an animation enlarges small frames.
const SHOWN: u64 = 256;

/// What the page asks for.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Film {
    /// Two or more.
    keyframes: Vec<Settings>,
    /// Frames from one keyframe to the next.
    frames: u32,
    /// Frames a second.
    fps: f64,
    /// Back to the first keyframe, rather than the same way backwards.
    closed: bool,
    /// `gif`, `webp` or `mp4`.
    format: Form,
}

/// The form of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Form {
    Gif,
    Webp,
    Mp4,
}

impl Film {
    /// Refuses what cannot be drawn.
    ///
    /// # Errors
    ///
    /// What is wrong, in plain words.
    pub fn check(&self, info: &Info) -> Result<(), Refusal> {
        let refused = |reason: String| Err(Refusal::Settings(reason));
        if self.keyframes.len() < 2 {
            return refused("a film needs two keyframes at least".into());
        }
        if !(1..=120).contains(&self.frames) {
            return refused(format!("{} frames a step; give 1 to 120", self.frames));
        }
        if !(1.0..=50.0).contains(&self.fps) {
            return refused(format!("{} frames a second; give 1 to 50", self.fps));
        }
        let side = u64::from(info.resolution).max(SHOWN);
        let count = (self.keyframes.len() as u64).saturating_mul(self.frames.into());
        let most = MOST_PIXELS / (side * side);
        if count > most {
            return refused(format!(
                "{count} frames; of pictures of {} pixels a film has at most {most}: take fewer keyframes or frames",
                info.resolution
            ));
        }
        self.keyframes
            .iter()
            .try_for_each(|settings| settings.check(info))
    }

    /// Every frame, each once.
    #[must_use]
    pub fn frames(&self) -> Vec<Frame> {
        let next = self.keyframes.iter().cycle().skip(1);
        let ways = self.keyframes.iter().zip(next);
        let ways = ways.take(self.keyframes.len() - usize::from(!self.closed));
        let mut frames: Vec<Frame> = ways
            .flat_map(|(from, to)| {
                (0..self.frames).map(|frame| Frame {
                    from: from.clone(),
                    to: to.clone(),
                    at: f64::from(frame) / f64::from(self.frames),
                })
            })
            .collect();
        if !self.closed {
            frames.extend(self.keyframes.last().cloned().map(Frame::still));
        }
        frames
    }

    /// The file.
    pub(crate) fn encode(&self, pictures: Vec<RgbImage>) -> Result<Vec<u8>, Refusal> {
        let format = match self.format {
            Form::Gif => Format::Gif,
            Form::Webp => Format::WebP,
            Form::Mp4 => Format::Mp4,
        };
        let animation = Animation::new(pictures)
            .fps(self.fps)
            .ping_pong(!self.closed);
        Ok(animation.encode(format)?)
    }

    /// Its type, for the browser.
    pub(crate) fn media_type(&self) -> &'static str {
        match self.format {
            Form::Gif => "image/gif",
            Form::Webp => "image/webp",
            Form::Mp4 => "video/mp4",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn film(closed: bool) -> Film {
        let keyframe = |seed| format!(r#"{{"source":{{"seed":{seed}}}}}"#);
        let keyframes: Vec<String> = (0..3).map(keyframe).collect();
        serde_json::from_str(&format!(
            r#"{{"keyframes":[{}],"frames":4,"fps":10,"closed":{closed},"format":"gif"}}"#,
            keyframes.join(",")
        ))
        .unwrap()
    }

    fn ends(film: &Film) -> (usize, String, f64) {
        let frames = film.frames();
        let last = frames.last().unwrap();
        (
            frames.len(),
            format!("{:?} {:?}", last.from.source, last.to.source),
            last.at,
        )
    }

    #[test]
    fn a_loop_leads_back_to_the_first_keyframe() {
        assert_eq!(ends(&film(true)), (12, "Seed(2) Seed(0)".into(), 0.75));
    }

    #[test]
    fn a_way_ends_at_the_last_keyframe() {
        assert_eq!(ends(&film(false)), (9, "Seed(2) Seed(2)".into(), 0.0));
    }
}
