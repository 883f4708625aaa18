-- databases: warehouse
-- The points of each picture beside it, so that a page can draw it anew; null in older nights.
ALTER TABLE belief_pictures ADD COLUMN points VARCHAR;
