//! What an inspection looks like.

use super::gradient::percent;
use super::{InspectedStage, Inspection};
use crate::display::{Align, Figure, LinePlot, MimeBundle, Panel, Player, Players, Show, Table};
use crate::network::thousands;
use crate::ops::Relu;
use crate::stimulus::{Sound, Stimulus};

impl Inspection {
    /// The check list but for the stages: input, preprocessing, weights, classes, gradients, warnings.
    pub fn table(&self) -> Table {
        let provenance = self.network.weights_source();
        let answer = match (&self.answer, self.network.classes()) {
            (Some(answer), Some(classes)) => {
                let top = answer.top();
                let (name, sure) = (&top.name, 100.0 * top.probability);
                format!("{} classes; {} is \"{name}\" ({sure:.0} %)", classes.len(), self.stimulus.name())
            }
            _ => "none".into(),
        };
        let hash = provenance.weights_sha256.get(..12).unwrap_or_default();
        let mut table = Table::new(["", "what was found"])
            .caption(format!("{}: check list", self.network.name()))
            .row(["stimuli".into(), self.preprocessing()])
            .row(["weights".into(), format!("{}, SHA-256 {hash}…", provenance.source)])
            .row(["classes".into(), answer]);
        for (place, what) in self.gradients() {
            table.push([format!("gradient: {place}"), what]);
        }
        for warning in &self.warnings {
            table.push(["⚠ warning", warning.as_str()]);
        }
        if self.warnings.is_empty() {
            table.push(["warnings", "none"]);
        }
        table
    }

    /// The stages, with what was measured at each.
    pub fn stage_table(&self) -> Table {
        let input: usize = self.network.input().shape().iter().product();
        let (_, size) = self.network.field_grid();
        let own = self.stages.iter().any(|stage| stage.behind_module);
        let mut headers = vec![
            "stage",
            "shape",
            "units\n(× input)",
            "receptive\nfield",
            "multiply-\nadds (M)",
            "a gradient\n(ms)",
            "silent\nunits",
            "ends in",
            "SNR (dB),\n≤ 20 steps",
        ];
        headers.extend(own.then_some("gradient\noff by"));
        let right = Align::Right;
        let mut table = Table::new(headers)
            .align([Align::Left, Align::Left, right, right, right, right, right, Align::Left, right, right])
            .caption(format!("{}: stages, for {}", self.network.name(), self.stimulus.name()));
        for inspected in &self.stages {
            let InspectedStage { stage, evaluation, snr_db, .. } = inspected;
            let shape: Vec<String> = stage.shape.iter().map(ToString::to_string).collect();
            let none = || "–".to_string();
            // No-break spaces: a shape on three lines is no shape.
            let mut row = vec![
                stage.name.clone(),
                shape.join("\u{a0}×\u{a0}"),
                format!("{}\u{a0}({:.2})", thousands(stage.units()), stage.units() as f64 / input as f64),
                stage.receptive_field.within(size),
                if inspected.behind_module { "not known".into() } else { format!("{:.1}", stage.macs as f64 / 1e6) },
                evaluation.map_or_else(none, |time| format!("{:.1}", 1e3 * time.as_secs_f64())),
                format!("{:.0} %", 100.0 * inspected.silent),
                inspected.rectifier.map_or_else(none, rectifier),
                snr_db.map_or_else(none, |[before, after]| format!("{} → {}", decibels(before), decibels(after))),
            ];
            row.extend(own.then(|| inspected.module_gradient_error.map_or_else(none, percent)));
            table.push(row);
        }
        table
    }

    /// The stimulus, the metamers after 20 steps, and how their match grew.
    pub fn figure(&self) -> Figure {
        let name = self.network.name();
        let alt = format!("{} and metamers of it after 20 steps at stages of {name}", self.stimulus.name());
        let mut panels = vec![];
        let mut plot = LinePlot::new("match at the stage").x_label("gradient evaluations").y_label("SNR (dB)");
        for smoke in &self.smoke {
            let stage = &smoke.metamer.provenance().stage;
            let line = smoke.points.iter().map(|p| (p.evaluation as f64, p.snr_db)).collect();
            plot = plot.series(stage, line);
            let [original, metamer] = crate::synthesis::panels(&smoke.metamer, stage);
            if panels.is_empty() {
                panels.push(original.caption(self.stimulus.name()));
            }
            let snr = smoke.metamer.similarity().snr_db.map_or("undefined".into(), decibels);
            panels.push(metamer.caption(format!("after {} steps, SNR {snr} dB", smoke.steps)));
        }
        let figure = Figure::new(alt).title(format!("{name}: metamers after 20 steps"));
        if panels.is_empty() {
            return figure.row([Panel::text("no metamer", "No stage could be matched; the warnings say why.")]);
        }
        // A cochleagram has axes, and needs the width of a page for two.
        let across = if matches!(self.stimulus, Stimulus::Sound(_)) { 2 } else { 4 };
        let rows = panels.chunks(across).map(<[Panel]>::to_vec);
        rows.fold(figure, Figure::row).row([Panel::plot(plot)])
    }
}

/// ReLU, ReLU6.
fn rectifier(clip: Relu) -> String {
    if clip.max.is_finite() { format!("ReLU{}", clip.max) } else { "ReLU".into() }
}

/// Without a minus before 0.
fn decibels(snr: f64) -> String {
    match (snr * 10.0).round() / 10.0 {
        snr if snr == f64::INFINITY => "∞".into(),
        snr => format!("{:.1}", snr + 0.0),
    }
}

impl Inspection {
    /// Original and metamers to listen to, where they are sounds.
    fn players(&self) -> Vec<MimeBundle> {
        let Stimulus::Sound(original) = &self.stimulus else { return vec![] };
        let player = |name: &str, sound: &Sound| Player::new(name, sound.sample_rate(), sound.values().to_vec());
        let metamers = self.smoke.iter().filter_map(|smoke| {
            let stamp = smoke.metamer.provenance();
            Some(player(&stamp.stage, smoke.metamer.sound().ok()?))
        });
        vec![Players::shared([player("original", original)].into_iter().chain(metamers)).bundle()]
    }
}

impl Show for Inspection {
    fn mime_bundles(&self) -> Vec<MimeBundle> {
        [self.table().mime_bundles(), self.stage_table().mime_bundles(), self.players(), self.figure().mime_bundles()]
            .concat()
    }
}

crate::show_in_notebooks!(Inspection);
