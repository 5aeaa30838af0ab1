-- Which bindings have expired is asked once, at the start, of all of them; each renewal had to move
-- its row in this index.

DROP INDEX binding_expires;
