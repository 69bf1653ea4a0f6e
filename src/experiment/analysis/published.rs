//! Human recognition in published experiments.

use crate::display::{Align, MimeBundle, Show, Table};

/// Mean human proportion correct by stage for the metamers of one network of Feather et al. (2023), Nature Neuroscience 26, 2017-2034.
///
/// Each experiment had 20 to 23 participants, with 16 choices for images (chance 1/16) or 793 for words (chance 1/793). The networks
/// reach 0.85 to 0.99 on the same stimuli. Fully connected layers with the same name in the paper are numbered here, and stages of word
/// networks have the names of [`zoo`](crate::zoo).
///
/// ```
/// use metamers::experiment::analysis::Published;
///
/// let alexnet = Published::alexnet();
/// assert_eq!(alexnet.natural(), 0.895);
/// assert_eq!(alexnet.stages()[0], ("relu0".to_string(), 0.923));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Published {
    network: &'static str,
    natural: f64,
    stages: Vec<(String, f64)>,
    choices: usize,
}

/// The proportion correct for natural images, and the number of choices.
const IMAGES: (f64, usize) = (0.895, 16);
/// The proportion correct for natural words, and the number of choices.
const WORDS: (f64, usize) = (0.820, 793);

impl Published {
    fn new<const N: usize>(
        network: &'static str,
        (natural, choices): (f64, usize),
        stages: [&str; N],
        means: [f64; N],
    ) -> Self {
        let stages = stages.into_iter().map(String::from).zip(means).collect();
        Self { network, natural, stages, choices }
    }

    /// Human recognition of the image metamers of AlexNet.
    #[must_use]
    pub fn alexnet() -> Self {
        let stages = ["relu0", "relu1", "relu2", "relu3", "relu4", "fc0", "fc1", "final"];
        Self::new("AlexNet", IMAGES, stages, [0.923, 0.774, 0.407, 0.372, 0.180, 0.106, 0.051, 0.059])
    }

    /// Human recognition of the image metamers of VGG-19.
    #[must_use]
    pub fn vgg19() -> Self {
        let stages = ["conv1_2", "conv2_2", "conv3_4", "conv4_4", "conv5_4", "avgpool", "fc0", "fc1", "final"];
        Self::new("VGG-19", IMAGES, stages, [0.937, 0.921, 0.909, 0.595, 0.167, 0.182, 0.121, 0.104, 0.117])
    }

    /// Human recognition of the image metamers of ResNet-50.
    #[must_use]
    pub fn resnet50() -> Self {
        let stages = ["conv1", "layer1", "layer2", "layer3", "layer4", "avgpool", "final"];
        Self::new("ResNet-50", IMAGES, stages, [0.937, 0.945, 0.945, 0.845, 0.212, 0.117, 0.130])
    }

    /// Human recognition of the image metamers of ResNet-101.
    #[must_use]
    pub fn resnet101() -> Self {
        let stages = ["conv1", "layer1", "layer2", "layer3", "layer4", "avgpool", "final"];
        Self::new("ResNet-101", IMAGES, stages, [0.955, 0.908, 0.917, 0.867, 0.278, 0.117, 0.071])
    }

    /// Human recognition of the image metamers of CORnet-S.
    #[must_use]
    pub fn cornet_s() -> Self {
        let stages = ["V1", "V2", "V4", "IT", "final"];
        Self::new("CORnet-S", IMAGES, stages, [0.938, 0.877, 0.824, 0.254, 0.055])
    }

    /// Human recognition of the word metamers of CochCNN9.
    #[must_use]
    pub fn cochcnn9() -> Self {
        let stages = ["cochleagram", "relu0", "relu1", "relu2", "relu3", "relu4", "avgpool", "relufc", "final"];
        Self::new("CochCNN9", WORDS, stages, [0.789, 0.870, 0.813, 0.615, 0.540, 0.346, 0.203, 0.056, 0.023])
    }

    /// Human recognition of the word metamers of CochResNet50.
    #[must_use]
    pub fn cochresnet50() -> Self {
        let stages = ["cochleagram", "conv1", "layer1", "layer2", "layer3", "layer4", "avgpool", "final"];
        Self::new("CochResNet50", WORDS, stages, [0.833, 0.816, 0.844, 0.827, 0.813, 0.118, 0.196, 0.224])
    }

    /// The network whose metamers were shown.
    #[must_use]
    pub fn network(&self) -> &str {
        self.network
    }

    /// The proportion correct for natural stimuli.
    #[must_use]
    pub fn natural(&self) -> f64 {
        self.natural
    }

    /// The stages in order, each with the proportion correct for its metamers.
    #[must_use]
    pub fn stages(&self) -> &[(String, f64)] {
        &self.stages
    }

    /// The number of choices.
    #[must_use]
    pub fn choices(&self) -> usize {
        self.choices
    }

    /// Returns the published means at the positions of `conditions`, and `true` if all positions come from names.
    ///
    /// If every condition is a stage of this network, each mean is at its name. Otherwise, the stages are spaced evenly by relative
    /// depth from the first to the last condition that is not natural.
    pub(super) fn points_at(&self, conditions: &[String]) -> (Vec<(f64, f64)>, bool) {
        let stages: Vec<usize> = (0..conditions.len()).filter(|&index| conditions[index] != "natural").collect();
        let mean =
            |index: usize| self.stages.iter().find(|(name, _)| *name == conditions[index]).map(|(_, mean)| *mean);
        let natural = conditions.iter().position(|name| name == "natural").map(|index| (index as f64, self.natural));
        let named: Option<Vec<(f64, f64)>> = stages.iter().map(|&index| Some((index as f64, mean(index)?))).collect();
        let by_name = named.is_some();
        let by_depth = || match (stages.first(), stages.last()) {
            (Some(&first), Some(&last)) => {
                let step = (last - first) as f64 / (self.stages.len() - 1).max(1) as f64;
                self.stages.iter().enumerate().map(|(k, (_, mean))| (first as f64 + step * k as f64, *mean)).collect()
            }
            _ => vec![],
        };
        let mut points: Vec<(f64, f64)> = natural.into_iter().chain(named.unwrap_or_else(by_depth)).collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        (points, by_name)
    }
}

impl Show for Published {
    fn mime_bundles(&self) -> Vec<MimeBundle> {
        let mut table =
            Table::new(["stage", "proportion correct"]).align([Align::Left, Align::Right]).caption(format!(
                "{}: human recognition of its metamers, {} choices (Feather et al. 2023)",
                self.network, self.choices
            ));
        table.push(["natural".into(), format!("{:.3}", self.natural)]);
        self.stages.iter().for_each(|(stage, mean)| table.push([stage.clone(), format!("{mean:.3}")]));
        table.mime_bundles()
    }
}

crate::show_in_notebooks!(Published);
