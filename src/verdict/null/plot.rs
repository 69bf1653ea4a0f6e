//! A null distribution as a table.

use super::NullDistribution;
use crate::display::{Align, MimeBundle, Show, Table};

impl Show for NullDistribution {
    fn mime_bundles(&self) -> Vec<MimeBundle> {
        let Self { network, pairs, stimuli, near_duplicates: twins, .. } = self;
        let mut caption = format!(
            "{network}: how alike {pairs} pairs of {} natural stimuli are by chance, at most (at 99 %)",
            stimuli.len()
        );
        if !twins.is_empty() {
            let most = twins.iter().take(3).map(|t| format!("{} and {}", t.first, t.second)).collect::<Vec<_>>();
            let which = if self.twins_left_out { "left out" } else { "counted too" };
            let count = |n: usize| if n == 1 { "1 pair is".into() } else { format!("{n} pairs are") };
            caption += &format!("\n{} nearly the same, {which}: {}", count(twins.len()), most.join("; "));
            if twins.len() > most.len() {
                caption += " …";
            }
        }
        let mut table = Table::new(["stage", "ρ", "r", "SNR (dB)", "most alike, by SNR"])
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
                stage.most_alike[2].join(" and "),
            ]);
        }
        table.mime_bundles()
    }
}

crate::show_in_notebooks!(NullDistribution);
