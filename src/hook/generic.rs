//! Notices of anybody's script, in a form of our own, and `notify-push` over HTTP.

use serde::Deserialize;

use super::{First, Hint, Notice, Silence, Told, json, moved, unreadable};
use crate::action::Pushed;
use crate::names::StreamTag;
use crate::reference::ImageReference;

/// What a script may say; strict, because its author can be told.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Body {
    image: Option<String>,
    #[serde(default)]
    images: First<String>,
    branch: Option<String>,
    r#ref: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Push {
    tag: String,
    image: String,
}

/// `{"image": ...}`, `{"images": [...]}`, `{"branch": ...}`, `{"ref": ...}`, or nothing: look at the source.
pub(super) fn read(notice: &Notice<'_>) -> Told {
    if notice.body.trim_ascii().is_empty() {
        return Ok(vec![Hint::Source]);
    }
    let Body { image, images: First(images), branch, r#ref } = json(notice.body)?;
    let images = image.iter().chain(&images).map(|text| parsed(text).map(Hint::Image));
    let mut hints = images.collect::<Result<Vec<_>, _>>()?;
    hints.extend(branch.map(Hint::Branch));
    if let Some(reference) = r#ref {
        hints.extend(moved(&reference, false)?);
    }
    Ok(if hints.is_empty() { vec![Hint::Source] } else { hints })
}

/// `{"tag": "shop/web:latest", "image": "registry.example.com/shop/web@sha256:..."}`.
pub(super) fn read_push(notice: &Notice<'_>) -> Told {
    let Push { tag, image } = json(notice.body)?;
    let Ok(tag) = tag.parse::<StreamTag>() else {
        return unreadable("`tag` is not written like NAMESPACE/STREAM:TAG");
    };
    let image = parsed(&image)?;
    if image.digest.is_none() {
        return unreadable("`image` has no digest; expected REPOSITORY@sha256:...");
    }
    Ok(vec![Hint::Push(Pushed { tag, image })])
}

fn parsed(text: &str) -> Result<ImageReference, Silence> {
    let image = text.parse::<ImageReference>().ok().filter(|image| !image.is_registry_only());
    image.ok_or_else(|| {
        Silence::Unreadable("`image` is not written like REGISTRY/REPOSITORY:TAG".into())
    })
}

#[cfg(test)]
mod tests {
    use super::super::Kind;
    use super::super::tests::told;

    fn script(body: &str) -> Vec<String> {
        told(Kind::Generic, &[], body)
    }

    #[test]
    fn a_script_names_images_or_a_branch_or_nothing() {
        assert_eq!(
            script(r#"{"image": "registry.example.com/shop/web:1.2"}"#),
            ["registry.example.com/shop/web:1.2"]
        );
        assert_eq!(
            script(r#"{"images": ["shop/web", "quay.io/a/b:1"]}"#),
            ["shop/web", "quay.io/a/b:1"]
        );
        assert_eq!(script(r#"{"branch": "main"}"#), ["branch main"]);
        assert_eq!(script(r#"{"ref": "refs/heads/main"}"#), ["branch main"]);
        assert_eq!(script(""), ["the source"]);
        assert_eq!(script(" {} "), ["the source"]);
    }

    #[test]
    fn a_script_with_a_slip_is_told() {
        assert_eq!(
            script(r#"{"imgae": "x"}"#),
            ["unreadable: the body is not of the shape that this kind sends (line 1, column 8)"]
        );
        assert_eq!(
            script(r#"{"image": "A B"}"#),
            ["unreadable: `image` is not written like REGISTRY/REPOSITORY:TAG"]
        );
    }

    #[test]
    fn a_push_names_its_tag_and_its_image_with_the_digest() {
        let digest = format!("sha256:{}", "0f".repeat(32));
        let push = |tag: &str, image: &str| {
            told(Kind::NotifyPush, &[], &format!(r#"{{"tag": "{tag}", "image": "{image}"}}"#))
                .join("")
        };
        let image = format!("r.io/shop/web@{digest}");
        assert_eq!(push("shop/web:latest", &image), format!("shop/web:latest is {image}"));
        assert_eq!(
            push("web", &image),
            "unreadable: `tag` is not written like NAMESPACE/STREAM:TAG"
        );
        assert_eq!(
            push("shop/web:latest", "r.io/shop/web:1"),
            "unreadable: `image` has no digest; expected REPOSITORY@sha256:..."
        );
    }
}
