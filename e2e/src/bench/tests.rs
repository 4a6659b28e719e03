mod load;
mod reader;
