mod credentials;
mod headers;
mod model;
mod request_id;
