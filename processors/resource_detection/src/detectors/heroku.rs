//! Heroku: the dyno metadata in the environment.

use crate::detectors::{Attribute, Failure, Found, Variables, texts};

pub(crate) static ATTRIBUTES: [Attribute; 8] = [
    ("cloud.provider", true),
    ("heroku.app.id", true),
    ("heroku.dyno.id", true),
    ("heroku.release.commit", true),
    ("heroku.release.creation_timestamp", true),
    ("service.instance.id", true),
    ("service.name", true),
    ("service.version", true),
];

pub(crate) fn detect(variables: &Variables) -> Result<Found, Failure> {
    let text = |name: &str| variables(name).unwrap_or_default();
    let (dyno, app) = (text("HEROKU_DYNO_ID"), text("HEROKU_APP_ID"));
    if dyno.is_empty() && app.is_empty() {
        return Err(
            "neither HEROKU_DYNO_ID nor HEROKU_APP_ID is set: turn the app's dyno metadata on"
                .into(),
        );
    }
    Ok(texts([
        ("cloud.provider", "heroku".to_owned()),
        ("heroku.app.id", app),
        ("heroku.dyno.id", dyno.clone()),
        ("heroku.release.commit", text("HEROKU_SLUG_COMMIT")),
        (
            "heroku.release.creation_timestamp",
            text("HEROKU_RELEASE_CREATED_AT"),
        ),
        ("service.instance.id", dyno),
        ("service.name", text("HEROKU_APP_NAME")),
        ("service.version", text("HEROKU_RELEASE_VERSION")),
    ]))
}
