//! The settings of the operator's page.

use super::token::{FORM, OpsToken};
use core_executor::{Env, EnvError};

/// Whether there is an operator's page, for [`Builder::ops`](crate::Builder::ops).
///
/// ```
/// use attached_runtime::{OpsConfig, OpsToken};
///
/// let ops = OpsConfig::new(OpsToken::new("correct-horse-battery-staple")?);
/// assert!(OpsToken::new("too short").is_err());
/// # drop(ops);
/// # Ok::<(), attached_runtime::RuntimeError>(())
/// ```
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct OpsConfig {
    /// What opens the page. Default none: then there is no page, and its paths are unknown ones. Setting `OPS_TOKEN`.
    pub token: Option<OpsToken>,
}

impl OpsConfig {
    /// A page that this token opens.
    pub fn new(token: OpsToken) -> Self {
        Self { token: Some(token) }
    }

    /// Reads `OPS_TOKEN`; absent or empty means that there is no page.
    ///
    /// # Errors
    /// A value that is no [`OpsToken`]; it is not shown.
    pub fn from_env(env: &Env) -> Result<Self, EnvError> {
        let value = env.string("OPS_TOKEN", "")?;
        let token = match value.trim() {
            "" => None,
            value => Some(OpsToken::new(value).map_err(|_| env.invalid("OPS_TOKEN", FORM))?),
        };
        Ok(Self { token })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_token_is_an_error_that_does_not_show_it() {
        for wrong in [
            "hunter2",
            "hunter2 hunter2 hunter2",
            "hunter2-hünter2-hunter2",
            &"hunter2".repeat(40),
        ] {
            let env = Env::from_pairs([("OPS_TOKEN", wrong)]).expect("the key is known");
            let error = OpsConfig::from_env(&env).expect_err(wrong);
            let said = format!("{error} {error:?}");
            assert!(said.contains("OPS_TOKEN") && said.contains(FORM), "{said}");
            assert!(!said.contains("hunter"), "{said}");
        }
    }

    #[test]
    fn without_a_token_there_is_no_page() {
        for pairs in [vec![], vec![("OPS_TOKEN", "")], vec![("OPS_TOKEN", "  ")]] {
            let env = Env::from_pairs(pairs).expect("the key is known");
            assert!(
                OpsConfig::from_env(&env)
                    .expect("it may be empty")
                    .token
                    .is_none()
            );
        }
    }
}
