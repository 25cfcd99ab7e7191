-- Whose signature a provider's message bears. It is believed about calls over that sender's trunks only, which is known
-- where it is applied.
alter table provider_events add column sender text collate "C";
