//! Display of an inspection.

use super::gradient::percent;
use super::{InspectedStage, Inspection};
use crate::display::{Align, Figure, LinePlot, MimeBundle, Panel, Players, Show, Table};
use crate::network::thousands;
use crate::ops::Relu;
use crate::stimulus::{Stimulus, StimulusKind};

impl Inspection {
    /// Tabulates preprocessing, weights, classes, gradients and warnings.
    pub fn table(&self) -> Table {
        let weights_source = self.network.weights_source();
        let classes = match (&self.classification, self.network.classes()) {
            (Some(classification), Some(classes)) => {
                let top = classification.top();
                let (name, percent) = (&top.name, 100.0 * top.probability);
                format!(
                    "{} classes; {} is classified as \"{name}\" ({percent:.0} %)",
                    classes.len(),
                    self.stimulus.name()
                )
            }
            _ => "none".into(),
        };
        let hash = weights_source.weights_sha256.get(..12).unwrap_or_default();
        let mut table = Table::new(["", "result"])
            .caption(format!("{}: inspection", self.network.name()))
            .row(["stimuli".into(), self.preprocessing()])
            .row(["weights".into(), format!("{}, SHA-256 {hash}…", weights_source.source)])
            .row(["classes".into(), classes]);
        for (layers, behavior) in self.gradients() {
            table.push([format!("gradient: {layers}"), behavior]);
        }
        for warning in &self.warnings {
            table.push(["⚠ warning", warning.as_str()]);
        }
        if self.warnings.is_empty() {
            table.push(["warnings", "none"]);
        }
        table
    }

    /// Tabulates the stages and their measurements.
    pub fn stage_table(&self) -> Table {
        let input: usize = self.network.input().shape().iter().product();
        let (_, size) = self.network.field_grid();
        let custom = self.stages.iter().any(|stage| stage.behind_module);
        let mut headers = vec![
            "stage",
            "shape",
            "units\n(× input)",
            "receptive\nfield",
            "multiply-\nadds (M)",
            "gradient\n(ms)",
            "silent\nunits",
            "final\nReLU",
            "SNR (dB),\n≤ 20 steps",
        ];
        headers.extend(custom.then_some("gradient\nerror"));
        let right = Align::Right;
        let mut table = Table::new(headers)
            .align([Align::Left, Align::Left, right, right, right, right, right, Align::Left, right, right])
            .caption(format!("{}: stages, for {}", self.network.name(), self.stimulus.name()));
        for inspected in &self.stages {
            let InspectedStage { stage, evaluation, snr_db, .. } = inspected;
            let shape: Vec<String> = stage.shape.iter().map(ToString::to_string).collect();
            let none = || "–".to_string();
            // No-break spaces keep a shape on one line.
            let mut row = vec![
                stage.name.clone(),
                shape.join("\u{a0}×\u{a0}"),
                format!("{}\u{a0}({:.2})", thousands(stage.units()), stage.units() as f64 / input as f64),
                stage.receptive_field.within(size),
                if inspected.behind_module { "unknown".into() } else { format!("{:.1}", stage.macs as f64 / 1e6) },
                evaluation.map_or_else(none, |time| format!("{:.1}", 1e3 * time.as_secs_f64())),
                format!("{:.0} %", 100.0 * inspected.silent),
                inspected.rectifier.map_or_else(none, relu_name),
                snr_db.map_or_else(none, |[before, after]| format!("{} → {}", decibels(before), decibels(after))),
            ];
            row.extend(custom.then(|| inspected.module_gradient_error.map_or_else(none, percent)));
            table.push(row);
        }
        table
    }

    /// Plots the stimulus, the metamers after at most 20 steps, and their SNR during synthesis.
    pub fn figure(&self) -> Figure {
        let name = self.network.name();
        let alt = format!("{} and metamers of it after 20 steps at stages of {name}", self.stimulus.name());
        let mut panels = vec![];
        let mut plot = LinePlot::new("match at the stage").x_label("gradient evaluations").y_label("SNR (dB)");
        for trial in &self.trials {
            let stage = &trial.metamer.provenance().stage;
            let line = trial.points.iter().map(|p| (p.evaluation as f64, p.snr_db)).collect();
            plot = plot.series(stage, line);
            let [original, metamer] = crate::synthesis::panels(&trial.metamer, stage);
            if panels.is_empty() {
                panels.push(original.caption(self.stimulus.name()));
            }
            let snr = trial.metamer.similarity().snr_db.map_or("undefined".into(), decibels);
            panels.push(metamer.caption(format!("after {} steps, SNR {snr} dB", trial.steps)));
        }
        let figure = Figure::new(alt).title(format!("{name}: metamers after 20 steps"));
        if panels.is_empty() {
            return figure.row([Panel::text("no metamer", "Synthesis failed at every stage; see the warnings.")]);
        }
        // Cochleagrams have axes and need half the page's width.
        let columns = if self.stimulus.kind() == StimulusKind::Sound { 2 } else { 4 };
        let rows = panels.chunks(columns).map(<[Panel]>::to_vec);
        rows.fold(figure, Figure::row).row([Panel::plot(plot)])
    }
}

/// The name of a ReLU, such as ReLU or ReLU6.
fn relu_name(relu: Relu) -> String {
    if relu.max.is_finite() { format!("ReLU{}", relu.max) } else { "ReLU".into() }
}

/// Formats an SNR without a minus sign before 0.
fn decibels(snr: f64) -> String {
    match (snr * 10.0).round() / 10.0 {
        snr if snr == f64::INFINITY => "∞".into(),
        snr => format!("{:.1}", snr + 0.0),
    }
}

impl Inspection {
    /// Audio players of the original and the metamers; empty for images.
    fn players(&self) -> Vec<MimeBundle> {
        let Stimulus::Sound(original) = &self.stimulus else { return vec![] };
        let metamers = self.trials.iter().filter_map(|trial| {
            let provenance = trial.metamer.provenance();
            Some(trial.metamer.sound().ok()?.player_named(&provenance.stage))
        });
        vec![Players::shared([original.player_named("original")].into_iter().chain(metamers)).bundle()]
    }
}

impl Show for Inspection {
    fn mime_bundles(&self) -> Vec<MimeBundle> {
        [self.table().mime_bundles(), self.stage_table().mime_bundles(), self.players(), self.figure().mime_bundles()]
            .concat()
    }
}

crate::show_in_notebooks!(Inspection);
