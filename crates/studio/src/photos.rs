//! What was found for the latest photos.

use std::collections::{BTreeMap, VecDeque};

use crate::engine::{Frame, PhotoBytes};
use crate::refusal::Refusal;
use crate::settings::PhotoId;

/// More are forgotten, the oldest first. A picture that was downloaded or saved has its photo with it.
const MOST: usize = 64;

/// See the [module docs](self).
#[derive(Debug, Default)]
pub struct Photos(VecDeque<(PhotoId, PhotoBytes)>);

impl Photos {
    /// Keeps what was found; its name.
    pub fn keep(&mut self, bytes: PhotoBytes) -> PhotoId {
        let id = PhotoId::of(&bytes);
        self.0.retain(|(known, _)| *known != id);
        self.0.push_back((id.clone(), bytes));
        if self.0.len() > MOST {
            self.0.pop_front();
        }
        id
    }

    /// What was found for a photo.
    pub fn get(&self, id: &PhotoId) -> Result<PhotoBytes, Refusal> {
        let found = self.0.iter().find(|(known, _)| known == id);
        found.map(|(_, bytes)| bytes.clone()).ok_or_else(|| {
            Refusal::Missing(
                "this photo is not here any more; drop it, or a picture made of it, again".into(),
            )
        })
    }

    /// Those of frames.
    pub fn of(&self, frames: &[Frame]) -> Result<BTreeMap<PhotoId, PhotoBytes>, Refusal> {
        let ids = frames
            .iter()
            .flat_map(|frame| [frame.from.photo(), frame.to.photo()]);
        ids.flatten()
            .map(|id| Ok((id.clone(), self.get(id)?)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_photo_is_forgotten_first() {
        let mut photos = Photos::default();
        let ids: Vec<PhotoId> = (0..=MOST)
            .map(|i| photos.keep(i.to_le_bytes().to_vec().into()))
            .collect();
        assert!(photos.get(&ids[0]).is_err());
        assert!(photos.get(&ids[1]).is_ok() && photos.get(&ids[MOST]).is_ok());
    }
}
