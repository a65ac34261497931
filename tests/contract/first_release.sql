BEGIN TRANSACTION;
CREATE TABLE conversations (
	id VARCHAR(36) NOT NULL, 
	title VARCHAR(200) NOT NULL, 
	creator_id VARCHAR(64) NOT NULL, 
	created_at DATETIME NOT NULL, 
	seq INTEGER NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(creator_id) REFERENCES users (id)
);
INSERT INTO "conversations" VALUES('talk','talk','ann','2030-01-01 12:00:00.123456',3);
INSERT INTO "conversations" VALUES('empty','Nobody''s said "it"','bob','2030-01-01 12:00:00.123456',0);
CREATE TABLE messages (
	id VARCHAR(36) NOT NULL, 
	conversation_id VARCHAR(36) NOT NULL, 
	seq INTEGER NOT NULL, 
	sender_id VARCHAR(64) NOT NULL, 
	sender_type VARCHAR(20) NOT NULL, 
	sender_name VARCHAR(200) NOT NULL, 
	sender_avatar VARCHAR(500), 
	type VARCHAR(20) NOT NULL, 
	content JSON NOT NULL, 
	timestamp DATETIME NOT NULL, 
	is_important BOOLEAN NOT NULL, 
	reply_to_message_id VARCHAR(36), 
	client_message_id VARCHAR(100), 
	extra_metadata JSON, 
	PRIMARY KEY (id), 
	UNIQUE (conversation_id, seq), 
	UNIQUE (sender_id, client_message_id), 
	FOREIGN KEY(conversation_id) REFERENCES conversations (id)
);
INSERT INTO "messages" VALUES('m-1','talk',1,'ann','user','Ann',NULL,'text','{"text": "number 1"}','2030-01-01 12:00:00.123456',0,NULL,'c-1','{"n": 1}');
INSERT INTO "messages" VALUES('m-2','talk',2,'ann','user','Ann',NULL,'text','{"text": "number 2"}','2030-01-01 12:00:00.123456',0,NULL,'c-2','null');
INSERT INTO "messages" VALUES('m-3','talk',3,'ann','user','Ann',NULL,'text','{"text": "number 3"}','2030-01-01 12:00:00.123456',0,NULL,NULL,'null');
CREATE TABLE participants (
	conversation_id VARCHAR(36) NOT NULL, 
	user_id VARCHAR(64) NOT NULL, 
	position INTEGER NOT NULL, 
	PRIMARY KEY (conversation_id, user_id), 
	FOREIGN KEY(conversation_id) REFERENCES conversations (id), 
	FOREIGN KEY(user_id) REFERENCES users (id)
);
INSERT INTO "participants" VALUES('talk','ann',0);
INSERT INTO "participants" VALUES('talk','bob',1);
INSERT INTO "participants" VALUES('empty','bob',0);
INSERT INTO "participants" VALUES('empty','cleo',1);
CREATE TABLE users (
	id VARCHAR(64) NOT NULL, 
	display_name VARCHAR(200) NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "users" VALUES('ann','Ann');
INSERT INTO "users" VALUES('bob','Bob');
INSERT INTO "users" VALUES('cleo','Cleo');
CREATE INDEX participants_by_user ON participants (user_id);
COMMIT;
