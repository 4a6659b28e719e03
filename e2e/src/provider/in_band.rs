//! Errors inside an answer: the JSON of each shape.

use serde_json::{Map, Value, json};

use super::behaviour::ErrorShape;
use super::call::Call;
use super::family::Family;
use super::problem::{Problem, siliconflow_code};

/// The JSON of an error event. `fields` are those that every such event of the format has, beside the error itself.
pub(super) fn error(call: &Call, family: Family, fields: Value, shape: ErrorShape) -> Value {
    let problem = Problem::breakdown(family);
    let mut event = object(fields);
    let nested = object(error_object(call, family, &problem));
    match shape {
        ErrorShape::Text => {
            event.insert("error".to_owned(), json!(problem.message));
        }
        ErrorShape::Flat => flatten(&mut event, family, &problem, nested),
        ErrorShape::Dual => {
            flatten(&mut event, family, &problem, nested.clone());
            event.insert("error".to_owned(), Value::Object(nested));
        }
        ErrorShape::Usual if family == Family::Ollama => {
            event.insert("error".to_owned(), json!(problem.message));
        }
        ErrorShape::Usual | ErrorShape::Nested | ErrorShape::Chunk | ErrorShape::Failed => {
            event.insert("error".to_owned(), Value::Object(nested));
        }
    }
    Value::Object(event)
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

/// What stands under `error` where it is nested.
fn error_object(call: &Call, family: Family, problem: &Problem) -> Value {
    match family {
        // They are served by engines that speak OpenAI's way inside a stream.
        Family::SiliconFlow | Family::Ollama => Family::OpenAi.error_value(call, problem)["error"].take(),
        _ => family.error_value(call, problem)["error"].take(),
    }
}

/// The error's fields at the top; what the event says of itself stays.
fn flatten(event: &mut Map<String, Value>, family: Family, problem: &Problem, error: Map<String, Value>) {
    let flat = match family {
        Family::SiliconFlow => {
            object(json!({"code": siliconflow_code(problem.status), "message": problem.message, "data": null}))
        }
        // Mistral's way, and that of vLLM in its time.
        Family::OpenAi if event.is_empty() => {
            event.insert("object".to_owned(), json!("error"));
            error
        }
        _ => error,
    };
    for (name, value) in flat {
        event.entry(name).or_insert(value);
    }
}
