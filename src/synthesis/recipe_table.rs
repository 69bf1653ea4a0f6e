//! The table of the settings of a recipe.

use super::recipe::{Initialization, Loss, Optimizer, Recipe, Variables};
use crate::display::{MimeBundle, Show, Table};
use crate::stimulus::Noise;

fn loss(loss: Loss) -> String {
    match loss {
        Loss::HalfSquaredError => "half the squared error, 1/2 sum (A' − A)²".into(),
        Loss::NormRatio => "norm ratio, norm2(A' − A) / norm2(A)".into(),
        Loss::MeanSquaredError { range_penalty } => {
            format!("mean squared error, and {range_penalty} × the squared excess of values outside the valid range")
        }
        Loss::Matching => "matching objective, whose gradient is (A' − A) / norm2(A)²".into(),
    }
}

fn optimizer(optimizer: Optimizer) -> String {
    match optimizer {
        Optimizer::Adam { rate, decay_per_1000, amsgrad } => {
            let name = if amsgrad { "AMSGrad" } else { "Adam" };
            format!("{name}, rate {rate}, times {decay_per_1000} every 1,000 steps")
        }
        Optimizer::NormalizedGradient { eta, blocks } => {
            format!("normalised gradient, steps of length {eta}, halved from each of {blocks} blocks to the next")
        }
        Optimizer::Lbfgs(l) => format!(
            "L-BFGS in {}, with {} steps in memory, after at most {} gradient steps of length {}{}{}",
            match l.variables {
                Variables::Pixels => "pixels or samples",
                Variables::NaturalSpectrum => "frequencies with natural amplitudes",
            },
            l.memory,
            l.warm_up,
            l.warm_up_eta,
            match l.earlier_steps {
                0 => String::new(),
                steps => format!("; first at most {steps} steps at an earlier stage"),
            },
            l.nearest_at.map_or(String::new(), |snr_db| format!("; from {snr_db} dB on, towards the start"))
        ),
    }
}

fn initialization(initialization: Initialization) -> String {
    match initialization {
        Initialization::Noise(Noise::Normal { mean, deviation }) => {
            format!("normal noise, mean {mean}, standard deviation {deviation}")
        }
        Initialization::Noise(Noise::Uniform { low, high }) => format!("uniform noise from {low} to {high}"),
        Initialization::Noise(Noise::Pink { rms }) => format!("pink noise, rms {rms}"),
        Initialization::StretchedUniform => "uniform noise, stretched to [0, 1]".into(),
    }
}

impl Recipe {
    /// A table of the settings.
    pub fn table(&self) -> Table {
        let gradient = if self.identity_gradient { "identity (straight-through)" } else { "its own" };
        let plateau = self.plateau.map_or("no".into(), |p| {
            format!("when the loss changed by less than {} over {} evaluations", p.below, p.window)
        });
        let table = Table::new(["setting", "value"])
            .caption(format!("recipe {}", self.name))
            .row(["loss".to_string(), loss(self.loss)])
            .row(["gradient at the matched rectifier", gradient])
            .row(["optimizer".to_string(), optimizer(self.optimizer)])
            .row(["start".to_string(), initialization(self.start)])
            .row(["values", if self.clamp { "clamped: pixels to [0, 1], samples to [-1, 1]" } else { "not clamped" }])
            .row(["steps at most".to_string(), self.steps.to_string()])
            .row(["early end".to_string(), plateau])
            .row(["prior".to_string(), self.prior().to_string()]);
        match self.sound_rms {
            Some(rms) => table.row(["sound".to_string(), format!("set to rms {rms}, mean removed, without clipping")]),
            None => table,
        }
    }
}

impl Show for Recipe {
    fn mime_bundles(&self) -> Vec<MimeBundle> {
        self.table().mime_bundles()
    }
}

crate::show_in_notebooks!(Recipe);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_is_listed() {
        let texts: Vec<String> = Recipe::presets().iter().map(|r| r.mime_bundles()[0].plain().to_string()).collect();
        for (text, words) in texts.iter().zip([
            ["L-BFGS in frequencies", "40 steps at an earlier stage; from 20 dB on", "2000"],
            ["L-BFGS", "matching", "1000"],
            ["L-BFGS in pixels", "matching", "2000"],
            ["Adam, rate 0.001", "half the squared", "15000"],
            ["8 blocks", "norm ratio", "24000"],
            ["AMSGrad", "0.1 ×", "over 50 evaluations"],
        ]) {
            assert!(words.iter().all(|word| text.contains(word)), "{text}");
        }
        let base = Recipe::natural_prior();
        for other in [Recipe { clamp: false, ..base.clone() }, Recipe { sound_rms: Some(0.1), ..base.clone() }] {
            assert_ne!(other.mime_bundles(), base.mime_bundles());
        }
        for published in [Recipe::feather2019_sound(), Recipe::feather2023_sound()] {
            assert!(published.mime_bundles()[0].plain().contains("rms 0.1, mean removed"), "{}", published.name);
        }
    }
}
