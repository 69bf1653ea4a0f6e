//! The edit list of MP4 files, which tells the samples of the sound from those that the encoder added.

/// The part of a track that is to be played.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Edit {
    /// The first sample, in units of the track's timescale.
    start: u64,
    timescale: u32,
    /// The length, in units of the movie's timescale; 0 if it is not stated.
    length: u64,
    movie_timescale: u32,
}

impl Edit {
    /// The number of samples before the first one that is played.
    pub fn start_samples(&self, sample_rate: u32) -> usize {
        rescale(self.start, self.timescale, sample_rate)
    }

    /// The number of samples that are played.
    pub fn num_samples(&self, sample_rate: u32) -> Option<usize> {
        (self.length > 0).then(|| rescale(self.length, self.movie_timescale, sample_rate))
    }
}

fn rescale(units: u64, timescale: u32, sample_rate: u32) -> usize {
    let samples =
        (u128::from(units) * u128::from(sample_rate) + u128::from(timescale) / 2) / u128::from(timescale.max(1));
    usize::try_from(samples).unwrap_or(usize::MAX)
}

/// The edit of the track with this identifier, from its edit list or from the tag of Apple's encoders; `None` without either, and for an
/// edit list of several parts.
pub(super) fn edit(file: &[u8], track_id: u32) -> Option<Edit> {
    let movie = find(file, b"moov")?;
    let track = boxes(movie).filter(|(id, _)| id == b"trak").map(|(_, body)| body).find(|track| {
        let header = find(track, b"tkhd").unwrap_or_default();
        u32_at(header, if header.first() == Some(&1) { 20 } else { 12 }) == Some(track_id)
    })?;
    let timescale = timescale(find(find(track, b"mdia")?, b"mdhd")?)?;
    let listed = edit_list(movie, track, timescale);
    match listed {
        Some(edit) if edit.start > 0 => listed,
        _ => itunes_edit(movie, timescale).or(listed),
    }
}

fn edit_list(movie: &[u8], track: &[u8], timescale: u32) -> Option<Edit> {
    let movie_timescale = self::timescale(find(movie, b"mvhd")?)?;
    let list = find(find(track, b"edts")?, b"elst")?;
    let is_long = *list.first()? == 1;
    let mut parts = list.get(8..)?.chunks_exact(if is_long { 20 } else { 12 }).map(|part| match is_long {
        true => (u64_at(part, 0), u64_at(part, 8).map(|time| time as i64)),
        false => (u32_at(part, 0).map(u64::from), u32_at(part, 4).map(|time| i64::from(time as i32))),
    });
    match (parts.next(), parts.next()) {
        (Some((Some(length), Some(start))), None) if start >= 0 => {
            Some(Edit { start: start as u64, timescale, length, movie_timescale })
        }
        _ => None,
    }
}

/// The tag `iTunSMPB`: hexadecimal numbers, of which the second is the number of samples before the first one that is played, and the
/// fourth the number that is played.
fn itunes_edit(movie: &[u8], timescale: u32) -> Option<Edit> {
    let after =
        |bytes: &[u8], word: &[u8]| bytes.windows(word.len()).position(|at| at == word).map(|at| at + word.len());
    let tag = &movie[after(movie, b"iTunSMPB")?..];
    // The type and the locale of the text come first.
    let text = tag.get(after(tag.get(..64)?, b"data")? + 8..)?;
    let text = std::str::from_utf8(text.get(..46)?).ok()?;
    let numbers: Option<Vec<u64>> = text.split_whitespace().take(4).map(|n| u64::from_str_radix(n, 16).ok()).collect();
    match *numbers? {
        [_, start, _, length] => Some(Edit { start, timescale, length, movie_timescale: timescale }),
        _ => None,
    }
}

/// The timescale in a movie or media header.
fn timescale(header: &[u8]) -> Option<u32> {
    u32_at(header, if *header.first()? == 1 { 20 } else { 12 })
}

/// The content of the first box of this type.
fn find<'a>(bytes: &'a [u8], wanted: &[u8; 4]) -> Option<&'a [u8]> {
    boxes(bytes).find(|(id, body)| id == wanted && !body.is_empty()).map(|(_, body)| body)
}

/// The types and contents of consecutive boxes; ends at the first invalid one.
fn boxes(bytes: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let id = rest.get(4..8)?.try_into().ok()?;
        let (header, size) = match u32_at(rest, 0)? {
            0 => (8, rest.len() as u64),
            1 => (16, u64_at(rest, 8)?),
            size => (8, u64::from(size)),
        };
        let size = usize::try_from(size).ok().filter(|size| (header..=rest.len()).contains(size))?;
        let body = &rest[header..size];
        rest = &rest[size..];
        Some((id, body))
    })
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4).map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some((u64::from(u32_at(bytes, at)?) << 32) | u64::from(u32_at(bytes, at + 4)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxed(id: &[u8; 4], content: &[u8]) -> Vec<u8> {
        [&(content.len() as u32 + 8).to_be_bytes()[..], id, content].concat()
    }

    /// A file with one track of 44.1 kHz in a movie of 1000 units per second, and further boxes in its track and movie.
    fn file(in_track: &[u8], in_movie: &[u8]) -> Vec<u8> {
        let header = |value: u32| [&[0; 12][..], &value.to_be_bytes(), &[0; 8]].concat();
        let media = boxed(b"mdia", &boxed(b"mdhd", &header(44_100)));
        let track = boxed(b"trak", &[&boxed(b"tkhd", &header(1)), in_track, &media].concat());
        let movie = boxed(b"moov", &[&boxed(b"mvhd", &header(1000)), &track[..], in_movie].concat());
        [boxed(b"ftyp", b"M4A "), movie].concat()
    }

    fn list(parts: &[[i32; 3]]) -> Vec<u8> {
        let mut content = [[0; 4], (parts.len() as u32).to_be_bytes()].concat();
        parts.iter().flatten().for_each(|n| content.extend(n.to_be_bytes()));
        boxed(b"edts", &boxed(b"elst", &content))
    }

    fn tag(text: &str) -> Vec<u8> {
        let data = boxed(b"data", &[&[0, 0, 0, 1, 0, 0, 0, 0], text.as_bytes()].concat());
        boxed(b"udta", &[boxed(b"name", b"\0\0\0\0iTunSMPB"), data].concat())
    }

    #[test]
    fn edit_lists_and_tags_state_the_samples_that_are_played() {
        let samples = |file: &[u8]| edit(file, 1).map(|e| (e.start_samples(44_100), e.num_samples(44_100)));
        assert_eq!(samples(&file(&list(&[[2000, 1024, 0x1_0000]]), &[])), Some((1024, Some(88_200))));
        let apple = tag(" 00000000 00000840 000001CA 00000000003F31F6 00000000 00000000");
        assert_eq!(samples(&file(&[], &apple)), Some((2112, Some(4_141_558))));
        assert_eq!(samples(&file(&list(&[[2000, 0, 0x1_0000]]), &apple)), Some((2112, Some(4_141_558))));
        assert_eq!(samples(&file(&list(&[[2000, 1024, 0x1_0000]]), &apple)), Some((1024, Some(88_200))));
        assert_eq!(samples(&file(&list(&[[500, -1, 0x1_0000], [2000, 0, 0x1_0000]]), &[])), None);
        assert_eq!(samples(&file(&[], &tag(" no numbers, but enough letters for a tag of this kind"))), None);
        assert_eq!((edit(&file(&[], &apple), 2), edit(b"", 1), edit(&[0; 100], 1)), (None, None, None));
    }

    #[test]
    fn a_cut_file_has_no_edit() {
        let whole = file(&list(&[[2000, 1024, 0x1_0000]]), &tag(" 00000000 00000840 000001CA 00000000003F31F6"));
        assert!(edit(&whole, 1).is_some() && (0..whole.len()).all(|length| edit(&whole[..length], 1).is_none()));
    }
}
