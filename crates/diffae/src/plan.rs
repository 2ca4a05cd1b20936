//! Which blocks a network consists of: the published arithmetic of channels and levels, written once for both networks.

use domex_diffusion::{HeadOrder, ResBlockConfig, Resample};

use crate::config::{EncoderConfig, Heads, Resampling, UNetConfig};

/// One module.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Part {
    /// The first convolution.
    Conv {
        channels: usize,
        out: usize,
    },
    Res(ResBlockConfig),
    Attention {
        channels: usize,
        heads: Heads,
        order: HeadOrder,
    },
    /// A halving that is no residual block.
    Down {
        channels: usize,
        conv: bool,
    },
    /// A doubling that is no residual block.
    Up {
        channels: usize,
        conv: bool,
    },
}

/// Modules that run one after the other under one index.
pub(crate) type Parts = Vec<Part>;

/// Modules at one level.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Stage {
    /// 0 for the whole picture, 1 for half its size, ..
    pub level: usize,
    pub parts: Parts,
    /// Channels that go out.
    pub channels: usize,
}

/// A network on its way down, and its middle.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Contraction {
    pub stages: Vec<Stage>,
    pub middle: Parts,
}

/// What all blocks of a network share.
struct Style<'a> {
    image_size: usize,
    attention: &'a [usize],
    order: HeadOrder,
    resampling: Resampling,
    time: Option<usize>,
    cond: Option<usize>,
}

impl Style<'_> {
    fn res(&self, channels: usize, out_channels: usize, resample: Resample) -> Part {
        Part::Res(ResBlockConfig {
            channels,
            out_channels,
            time_channels: self.time,
            cond_channels: self.cond,
            resample,
        })
    }

    fn attention(&self, channels: usize, heads: Heads) -> Part {
        Part::Attention {
            channels,
            heads,
            order: self.order,
        }
    }

    /// A residual block, and attention where the level has it.
    fn block(&self, channels: usize, out: usize, level: usize, heads: Heads) -> Parts {
        let mut parts = vec![self.res(channels, out, Resample::Keep)];
        if self.attention.contains(&(self.image_size >> level)) {
            parts.push(self.attention(out, heads));
        }
        parts
    }

    fn down(&self, channels: usize) -> Part {
        match self.resampling {
            Resampling::ResBlock => self.res(channels, channels, Resample::Down),
            other => Part::Down {
                channels,
                conv: other == Resampling::Conv,
            },
        }
    }

    fn up(&self, channels: usize) -> Part {
        match self.resampling {
            Resampling::ResBlock => self.res(channels, channels, Resample::Up),
            other => Part::Up {
                channels,
                conv: other == Resampling::Conv,
            },
        }
    }

    fn contraction(
        &self,
        [colours, first]: [usize; 2],
        widths: &[usize],
        blocks: usize,
        heads: Heads,
    ) -> Contraction {
        let stage = |level, parts, channels| Stage {
            level,
            parts,
            channels,
        };
        let conv = Part::Conv {
            channels: colours,
            out: first,
        };
        let mut stages = vec![stage(0, vec![conv], first)];
        let mut channels = first;
        for (level, &width) in widths.iter().enumerate() {
            for _ in 0..blocks {
                let parts = self.block(channels, width, level, heads);
                stages.push(stage(level, parts, width));
                channels = width;
            }
            if level + 1 < widths.len() {
                // Its result is the first of the next level.
                stages.push(stage(level + 1, vec![self.down(channels)], channels));
            }
        }
        let middle = vec![
            self.res(channels, channels, Resample::Keep),
            self.attention(channels, heads),
            self.res(channels, channels, Resample::Keep),
        ];
        Contraction { stages, middle }
    }
}

impl EncoderConfig {
    pub(crate) fn plan(&self) -> Contraction {
        let style = Style {
            image_size: self.image_size / self.patch,
            attention: &self.attention_resolutions,
            order: self.head_order,
            resampling: self.resampling,
            time: None,
            cond: None,
        };
        let colours = self.in_channels * self.patch * self.patch;
        let ends = [colours, self.channels[0]];
        style.contraction(ends, &self.channels, self.num_res_blocks, self.heads)
    }
}

impl UNetConfig {
    fn style(&self) -> Style<'_> {
        Style {
            image_size: self.image_size / self.patch,
            attention: &self.attention_resolutions,
            order: self.head_order,
            resampling: self.resampling,
            time: Some(self.embed_channels),
            cond: Some(self.cond_channels),
        }
    }

    /// The way down and the middle.
    pub(crate) fn contraction(&self) -> Contraction {
        let colours = self.in_channels * self.patch * self.patch;
        let ends = [colours, self.output_channels[0]];
        let blocks = self.num_input_res_blocks;
        self.style()
            .contraction(ends, &self.input_channels, blocks, self.heads)
    }

    /// The way up, which takes the results of the way down level by level, the last one first. Where they have run out, a block
    /// goes without.
    pub(crate) fn expansion(&self, down: &Contraction) -> Vec<Stage> {
        let style = self.style();
        let levels = self.output_channels.len();
        let mut laterals: Vec<Vec<usize>> = vec![Vec::new(); levels];
        for stage in &down.stages {
            laterals[stage.level].push(stage.channels);
        }
        let mut channels = down.stages.last().map_or(0, |stage| stage.channels);
        let mut stages = Vec::new();
        for level in (0..levels).rev() {
            let width = self.output_channels[level];
            for block in 0..=self.num_res_blocks {
                let lateral = laterals[level].pop().unwrap_or(0);
                let heads = self.heads_upsample;
                let mut parts = style.block(channels + lateral, width, level, heads);
                if level > 0 && block == self.num_res_blocks {
                    parts.push(style.up(width));
                }
                stages.push(Stage {
                    level,
                    parts,
                    channels: width,
                });
                channels = width;
            }
        }
        stages
    }
}
