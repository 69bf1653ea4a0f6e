//! A null distribution as a table.

use super::NullDistribution;
use crate::display::{Align, MimeBundle, Show, Table};

impl Show for NullDistribution {
    fn mime_bundles(&self) -> Vec<MimeBundle> {
        let Self { network, pairs, stimuli, near_duplicates, .. } = self;
        let mut caption = format!(
            "{network}: similarity of {pairs} pairs of {} natural stimuli, maximum (99th percentile)",
            stimuli.len()
        );
        if !near_duplicates.is_empty() {
            let most =
                near_duplicates.iter().take(3).map(|t| format!("{} and {}", t.first, t.second)).collect::<Vec<_>>();
            let treatment = if self.near_duplicates_excluded { "excluded" } else { "included" };
            let count =
                |n: usize| if n == 1 { "1 near-duplicate pair".into() } else { format!("{n} near-duplicate pairs") };
            caption += &format!("\n{}, {treatment}: {}", count(near_duplicates.len()), most.join("; "));
            if near_duplicates.len() > most.len() {
                caption += " …";
            }
        }
        let mut table = Table::new(["stage", "ρ", "r", "SNR (dB)", "most similar pair (SNR)"])
            .align([Align::Left, Align::Right, Align::Right, Align::Right])
            .caption(caption);
        for stage in &self.stages {
            let cell = |d: &crate::similarity::Distribution, digits: usize| {
                let high = d.quantile(0.99).unwrap_or(f64::NAN);
                format!("{:.digits$} ({high:.digits$})", d.max())
            };
            table.push([
                stage.stage.clone(),
                cell(&stage.spearman, 3),
                cell(&stage.pearson, 3),
                cell(&stage.snr_db, 1),
                stage.most_similar[2].join(" and "),
            ]);
        }
        table.mime_bundles()
    }
}

crate::show_in_notebooks!(NullDistribution);
