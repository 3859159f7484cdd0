//! What the agent may do about containers.

use crate::{
    claim::NamespaceClaim,
    configuration::{Fault, FieldPath, Problem, Response},
};

/// The namespaces that are never frozen.
pub(super) fn resolve(response: &Response, problems: &mut Vec<Problem>) -> Vec<NamespaceClaim> {
    let path = FieldPath::default().key("response");
    if !(1..=1000).contains(&response.keep_captures) {
        let fault = Fault::OutOfRange { found: response.keep_captures, least: 1, most: 1000 };
        problems.push(Problem::new(path.key("keepCaptures"), fault));
    }
    let path = path.key("neverFreeze");
    let mut claims = Vec::new();
    for (index, text) in response.never_freeze.iter().enumerate() {
        match NamespaceClaim::parse(text) {
            Some(claim) => claims.push(claim),
            None => {
                let fault = Fault::BadNamespace(text.clone());
                problems.push(Problem::new(path.index(index), fault));
            }
        }
    }
    claims
}
