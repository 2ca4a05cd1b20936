//! What is seen of each picture before any is used, and what follows for the set.

use serde::{Deserialize, Serialize};

use super::Options;
use crate::error::{Error, Result};
use crate::picture::Decoded;

/// What a picture is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Look {
    pub width: u32,
    pub height: u32,
    pub grey: bool,
    pub transparent: bool,
    pub turned: bool,
}

impl Look {
    pub fn of(decoded: &Decoded) -> Self {
        let (width, height) = decoded.picture.dimensions();
        Self {
            width,
            height,
            grey: decoded.grey,
            transparent: decoded.transparent,
            turned: decoded.turned,
        }
    }

    /// What it is once it is resized to so many pixels.
    pub fn resized(self, resize: Option<u32>) -> Self {
        match resize {
            Some(side) => Self {
                width: side,
                height: side,
                ..self
            },
            None => self,
        }
    }
}

/// What all pictures of a set have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Form {
    pub side: u32,
    pub grey: bool,
}

impl Form {
    /// The most common square, the first of equally common ones; grey where most of its pictures are.
    pub fn most_common(looks: &[Result<Look>]) -> Option<Self> {
        // The side, how many there are, and how many of them are grey.
        let mut counts: Vec<(u32, usize, usize)> = Vec::new();
        for look in looks.iter().flatten().filter(|l| l.width == l.height) {
            let at = counts.iter().position(|(side, ..)| *side == look.width);
            let at = at.unwrap_or_else(|| {
                counts.push((look.width, 0, 0));
                counts.len() - 1
            });
            counts[at].1 += 1;
            counts[at].2 += usize::from(look.grey);
        }
        // `max_by_key` takes the last of equal ones.
        let most = counts.iter().rev().max_by_key(|(_, count, _)| *count);
        most.map(|&(side, count, grey)| Self {
            side,
            grey: 2 * grey > count,
        })
    }
}

/// Why a picture cannot be used, if it cannot.
pub(super) fn problem(look: &Result<Look>, form: Option<Form>) -> Option<String> {
    let look = match look {
        Ok(look) => look,
        // The name stands before the reason already.
        Err(Error::Decode { reason, .. } | Error::NothingToCut { reason, .. }) => {
            return Some(reason.clone());
        }
        Err(error) => return Some(error.to_string()),
    };
    let (width, height) = (look.width, look.height);
    let Some(Form { side, grey }) = form else {
        return Some(format!("{width} × {height}, not square"));
    };
    if (width, height) != (side, side) {
        return Some(format!(
            "{width} × {height}, expected {side} × {side} as most are"
        ));
    }
    (grey && !look.grey).then(|| "in colour, expected grey as most are".to_owned())
}

/// What a person should know of the pictures that are used.
pub(super) fn notices(used: &[Look], form: Form, options: Options) -> Vec<String> {
    let total = used.len();
    let count = |which: fn(&Look) -> bool| used.iter().filter(|look| which(look)).count();
    let mut notices = Vec::new();
    let (transparent, turned, grey) = (
        count(|look| look.transparent),
        count(|look| look.turned),
        count(|look| look.grey),
    );
    if transparent > 0 {
        notices.push(format!(
            "{transparent} of {total} pictures are transparent somewhere: {} shows there (--background)",
            options.background
        ));
    }
    if turned > 0 {
        notices.push(format!(
            "{turned} of {total} pictures are turned upright, as their EXIF says"
        ));
    }
    // A set that is grey as a whole says so where it is described.
    if !form.grey && grey > 0 {
        notices.push(format!(
            "{grey} of {total} pictures are grey among coloured ones: the set is in colour, and theirs are three equal channels"
        ));
    }
    notices
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(side: u32, grey: bool) -> Result<Look> {
        Ok(Look {
            width: side,
            height: side,
            grey,
            transparent: false,
            turned: false,
        })
    }

    #[test]
    fn most_pictures_decide() {
        let odd_first = [look(8, false), look(16, false), look(16, true)];
        let form = Form::most_common(&odd_first).unwrap();
        assert_eq!((form.side, form.grey), (16, false));
        let even = [look(8, true), look(16, false)];
        let form = Form::most_common(&even).unwrap();
        assert_eq!((form.side, form.grey), (8, true));
        assert_eq!(Form::most_common(&[]), None);
    }

    #[test]
    fn grey_fits_colour_and_colour_does_not_fit_grey() {
        let colour = Form {
            side: 8,
            grey: false,
        };
        let grey = Form {
            side: 8,
            grey: true,
        };
        assert_eq!(problem(&look(8, true), Some(colour)), None);
        let text = problem(&look(8, false), Some(grey)).unwrap();
        assert!(text.contains("expected grey"), "{text}");
    }
}
