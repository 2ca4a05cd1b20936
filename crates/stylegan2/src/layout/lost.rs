//! What a file of tensors in a published layout cannot say of a network.
//!
//! Names, shapes and values come through; a hyper-parameter that leaves no trace in them is lost, and whoever reads the
//! file builds a network that makes other pictures.
//!
//! Not counted is what those programs are told for each training: the limit of the layers (`conv_clamp`), which layers take float16, and the
//! groups of the minibatch statistics.

use domex_ops::Activation;

use super::Layout;
use crate::config::{Architecture, DiscriminatorConfig, GeneratorConfig, MappingConfig};

/// The learning rate multiplier of published mapping networks.
const PUBLISHED: f64 = 0.01;

/// What would be lost, in words; nothing where the layout says the whole network.
#[must_use]
pub fn lost(
    layout: Layout,
    generator: &GeneratorConfig,
    discriminator: Option<&DiscriminatorConfig>,
) -> Vec<String> {
    let mut lost = Vec::new();
    activation("generator", generator.synthesis.activation, &mut lost);
    mapping("generator", &generator.mapping, &mut lost);
    if let Some(discriminator) = discriminator {
        activation("discriminator", discriminator.activation, &mut lost);
        if let Some(labels) = &discriminator.mapping {
            mapping("discriminator", labels, &mut lost);
        }
    }
    if layout == Layout::Rosinality {
        rosinality(generator, discriminator, &mut lost);
    }
    lost
}

fn activation(network: &str, found: Activation, lost: &mut Vec<String>) {
    if found != Activation::Lrelu {
        lost.push(format!("the {network}'s activation {}", found.name()));
    }
}

fn mapping(network: &str, config: &MappingConfig, lost: &mut Vec<String>) {
    if config.activation != Activation::Lrelu {
        let name = config.activation.name();
        lost.push(format!("the {network}'s mapping activation {name}"));
    }
    #[allow(clippy::float_cmp)] // Stored, not computed.
    if config.lr_multiplier != PUBLISHED {
        lost.push(format!(
            "the {network}'s mapping learning rate multiplier {}, which scales its weights ({PUBLISHED} is taken)",
            config.lr_multiplier
        ));
    }
}

/// That program's networks are of one kind.
fn rosinality(
    generator: &GeneratorConfig,
    discriminator: Option<&DiscriminatorConfig>,
    lost: &mut Vec<String>,
) {
    let synthesis = &generator.synthesis;
    if synthesis.img_channels != 3 {
        let channels = synthesis.img_channels;
        lost.push(format!(
            "pictures of {channels} channel(s); its networks make three"
        ));
    }
    let (z, w) = (generator.z_dim(), generator.w_dim());
    if z != w {
        lost.push(format!(
            "a z of {z} beside a w of {w}; its networks have one size"
        ));
    }
    if generator.c_dim() > 0 {
        lost.push(format!(
            "{} classes; its networks have no labels",
            generator.c_dim()
        ));
    }
    if !synthesis.use_noise {
        lost.push("layers without noise; its networks add some".to_owned());
    }
    if synthesis.architecture != Architecture::Skip {
        lost.push("a generator that is no skip network".to_owned());
    }
    if discriminator.is_some_and(|d| d.architecture != Architecture::Resnet) {
        lost.push("a discriminator that is no residual network".to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_layout_cannot_say_is_named() {
        let plain = GeneratorConfig::with_defaults(8, 8, 8, 32, 4).unwrap();
        for layout in [Layout::Nvlabs, Layout::Rosinality] {
            assert_eq!(lost(layout, &plain, None), [""; 0]);
        }
        let says = |layout, change: fn(&mut GeneratorConfig), word: &str| {
            let mut config = plain.clone();
            change(&mut config);
            let found = lost(layout, &config, None).join("; ");
            assert!(found.contains(word), "{word}: {found}");
        };
        let ros = Layout::Rosinality;
        says(ros, |c| c.synthesis.img_channels = 1, "1 channel");
        says(ros, |c| c.mapping.z_dim = 4, "a z of 4");
        says(ros, |c| c.mapping.c_dim = 3, "3 classes");
        says(ros, |c| c.synthesis.use_noise = false, "noise");
        for layout in [Layout::Nvlabs, ros] {
            says(
                layout,
                |c| c.synthesis.activation = Activation::Relu,
                "relu",
            );
            says(layout, |c| c.mapping.lr_multiplier = 0.1, "multiplier 0.1");
        }
    }
}
