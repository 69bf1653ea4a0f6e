//! Plot and table of an analysis.

use super::answers::several_tasks_note;
use super::{ConditionProportion, ExclusionRule, Published, Recognition};
use crate::display::{Align, Figure, LinePlot, MimeBundle, Show, Table};

impl Recognition {
    /// The number of choices of a trial.
    fn choices(&self) -> usize {
        (1.0 / self.chance).round() as usize
    }

    /// A note on published means of experiments with another number of choices.
    fn other_choices_note(&self) -> Option<String> {
        let own = self.choices();
        let others = self.published.iter().filter(|published| published.choices() != own);
        let others: Vec<String> =
            others.map(|published| format!("{} has {} choices", published.network(), published.choices())).collect();
        let others = (!others.is_empty()).then(|| others.join(", "))?;
        Some(format!("Note: published means at another chance level: {others}, here there are {own}."))
    }

    fn title(&self) -> String {
        let (people, bars) = match self.people {
            1 => ("1 participant".to_owned(), ""),
            n => (format!("{n} participants"), ", mean ± SEM"),
        };
        match self.simulated {
            true => format!("Simulated answers: recognised by {people}{bars}"),
            false => format!("Recognised by {people}{bars}"),
        }
    }

    /// Plots the proportion correct by condition, with the SEM over participants, chance, the network (dashed) and published means.
    pub fn plot(&self) -> LinePlot {
        let index = |name: &str| self.conditions.iter().position(|known| known == name).unwrap_or(0) as f64;
        let bar = |found: &ConditionProportion| {
            let sem = found.sem.unwrap_or(f64::NAN);
            (index(&found.condition), found.mean, found.mean - sem, found.mean + sem)
        };
        let group = if self.simulated { "simulated participants" } else { "participants" };
        let mut plot = LinePlot::new(self.title())
            .x_label("condition")
            .y_label("proportion correct")
            .x_names(self.conditions.clone())
            .y_range(0.0, 1.0)
            .error_bars(group, self.proportions.iter().map(bar).collect());
        if let Some((name, points)) = &self.network {
            plot = plot.dashed(name, points.iter().map(|(index, p)| (*index as f64, *p)).collect());
        }
        for published in &self.published {
            let (points, by_name) = published.points_at(&self.conditions);
            let by = if by_name { "" } else { ", by relative depth" };
            let choices = match published.choices() {
                same if same == self.choices() => String::new(),
                other => format!(", {other} choices"),
            };
            plot = plot.series(format!("humans, {} (Feather et al. 2023{by}{choices})", published.network()), points);
        }
        plot.reference_line(self.chance, format!("chance, 1 of {}", self.choices()))
    }

    /// Tabulates means, SEM, confidence intervals and numbers of trials by condition, and lists the excluded participants.
    pub fn table(&self) -> Table {
        let excluded: Vec<String> =
            self.excluded.iter().map(|out| format!("{} ({})", out.person, out.reason)).collect();
        let mut caption =
            format!("{}. 95 % intervals by bootstrap over participants. {}: ", self.title(), capitalize(&self.rule));
        caption += &if excluded.is_empty() { "nobody".to_owned() } else { excluded.join(", ") };
        caption += ".";
        if self.invalid_trials > 0 {
            caption += &format!(" {} invalid trials: interrupted, unanswered or not shown.", self.invalid_trials);
        }
        if self.dropped_frames > 0 {
            caption += &format!(" Trials with a dropped frame: {}.", self.dropped_frames);
        }
        for note in [several_tasks_note(&self.tasks), self.other_choices_note()].into_iter().flatten() {
            caption += &format!(" {note}");
        }
        let mut headers: Vec<String> =
            ["condition", "proportion correct", "SEM", "95 % interval", "participants", "trials"]
                .map(String::from)
                .into();
        let named: Vec<(&Published, Vec<(f64, f64)>)> = self
            .published
            .iter()
            .map(|each| (each, each.points_at(&self.conditions)))
            .filter(|(_, (_, by_name))| *by_name)
            .map(|(each, (points, _))| (each, points))
            .collect();
        headers.extend(self.network.iter().map(|(name, _)| name.clone()));
        headers.extend(named.iter().map(|(published, _)| format!("published, {}", published.network())));
        let align = [Align::Left].into_iter().chain(headers.iter().skip(1).map(|_| Align::Right));
        let mut table = Table::new(headers.clone()).align(align.collect::<Vec<_>>()).caption(caption);
        let three = |value: Option<f64>| value.map_or("–".to_owned(), |value| format!("{value:.3}"));
        for found in &self.proportions {
            let index = self.conditions.iter().position(|name| *name == found.condition).unwrap_or(0);
            let interval = found.interval.map_or("–".into(), |(low, high)| format!("{low:.3} to {high:.3}"));
            let mut cells = vec![found.condition.clone(), three(Some(found.mean)), three(found.sem), interval];
            cells.extend([found.people.to_string(), found.trials.to_string()]);
            cells.extend(
                self.network
                    .iter()
                    .map(|(_, points)| three(points.iter().find(|(at, _)| *at == index).map(|(_, p)| *p))),
            );
            cells.extend(
                named
                    .iter()
                    .map(|(_, points)| three(points.iter().find(|(at, _)| *at == index as f64).map(|(_, mean)| *mean))),
            );
            table.push(cells);
        }
        table
    }
}

fn capitalize(rule: &ExclusionRule) -> String {
    let text = rule.to_string();
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

impl Show for Recognition {
    fn mime_bundles(&self) -> Vec<MimeBundle> {
        let plot = self.plot();
        let text = format!("{}\n{}", self.title(), plot.words().join("\n"));
        // Many condition names need a wider figure.
        let width = if self.conditions.len() > 7 { 900.0 } else { 600.0 };
        let figure = Figure::new(plot.alt()).width(width).row([plot]).bundle(text);
        let mut bundles = vec![figure];
        bundles.extend(self.table().mime_bundles());
        bundles
    }
}

crate::show_in_notebooks!(Recognition);
