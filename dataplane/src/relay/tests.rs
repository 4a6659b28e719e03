mod splitter;
