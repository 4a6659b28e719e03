mod objects;
mod rules;
mod scalars;
mod schema;
