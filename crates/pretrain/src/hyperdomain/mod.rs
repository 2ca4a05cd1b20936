//! A network that makes domains of texts: the hypernetwork of HyperDomainNet (Alanov et al. 2022, arXiv 2210.08884, section 4).
//!
//! ```text
//! step    texts → embeddings → a domain for each → the same latents without and with it → losses by CLIP models
//! tick    how far edits go the way of their texts, trained and unseen; domains{kimg}.png
//! export  the network (domex_hyperdomain::file)
//! ```
//!
//! The generator and the CLIP models are frozen. Two ways of training are published:
//!
//! | | embeddings | CLIP models in the loss |
//! | --- | --- | --- |
//! | [`td-multiple`](Augmentation::None) | those of the texts | all |
//! | [`resample-and-convex`](Augmentation::ResampleAndConvex) | points between those of the batch, and targets in a cone around them | the first, whose embeddings the network reads |

//! Where pictures of the texts are known ([`TextPictures`]), half of each batch is learnt by them: its texts as they are, edited
//! pictures towards those that should come out.

mod config;
mod job;
mod measure;
mod pictures;

pub use config::{Augmentation, HyperdomainConfig, Weights};
pub use job::{HyperdomainJob, Networks};
pub use pictures::TextPictures;
