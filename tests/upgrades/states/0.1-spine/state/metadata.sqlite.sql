BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0001');
CREATE TABLE events (
	seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	kind TEXT NOT NULL, 
	line TEXT NOT NULL, 
	at TEXT NOT NULL, 
	"by" TEXT NOT NULL, 
	because TEXT NOT NULL, 
	body TEXT NOT NULL
);
INSERT INTO "events" VALUES(1,'accepted','visits','2026-03-11T02:00:00.001000Z','ann','ingest: it was never done for this line; split: ingest gives it something new; train: split gives it something new; package: train gives it something new; evaluate: package gives it something new; gate: evaluate gives it something new; release: what the gates say decides about promotion','{"at":"2026-03-11T02:00:00.001000Z","because":"ingest: it was never done for this line; split: ingest gives it something new; train: split gives it something new; package: train gives it something new; evaluate: package gives it something new; gate: evaluate gives it something new; release: what the gates say decides about promotion","by":"ann","declared":"sha256:1b68eb6058575ff9ba953018fd1d82075a0e29528401c656f1dd0ac4fdf362dd","kind":"accepted","line":"visits","plan":"sha256:369c1aa125745646a81fa93195306e991b296a1f8d0a64272ee331fb881f8e2f","run":"019cda9f-5100-7000-8000-000000000000","version":1}');
INSERT INTO "events" VALUES(2,'registered','visits','2026-03-11T02:00:00.003000Z','ann','a run trained it','{"at":"2026-03-11T02:00:00.003000Z","because":"a run trained it","by":"ann","ingested":"sha256:79b05491e46b20116e143b541293b4dbf014aa0a81bd13dc8bef0af22ca1456c","kind":"registered","line":"visits","model":1,"package":"sha256:a7e3e5a84b69425bd3ff5914a9a0b561953feddce4753534fe4e6dd40733d3fb","parity":"sha256:ecd83aaa83b0878c2e1d8f1e90293f55414d26a18cfda96835b1860d4a66db1f","run":"019cda9f-5100-7000-8000-000000000000","version":1}');
INSERT INTO "events" VALUES(3,'promoted','visits','2026-03-11T02:00:00.004000Z','ann','Every gate was passed (1 of 1); first, roc_auc is 0.47 better than the baseline''s (there is no champion yet, so the baseline stands in), at least 0.432 better with 95 % confidence: that it is better is shown.','{"at":"2026-03-11T02:00:00.004000Z","because":"Every gate was passed (1 of 1); first, roc_auc is 0.47 better than the baseline''s (there is no champion yet, so the baseline stands in), at least 0.432 better with 95 % confidence: that it is better is shown.","before":null,"by":"ann","certificate":"sha256:9113534f230be7e984c244ef15607bcc2e2d6c19b8c0b63091b9085ea87af32d","forced":false,"generation":1,"kind":"promoted","line":"visits","model":1,"package":"sha256:a7e3e5a84b69425bd3ff5914a9a0b561953feddce4753534fe4e6dd40733d3fb","run":"019cda9f-5100-7000-8000-000000000000","version":1}');
INSERT INTO "events" VALUES(4,'finished','visits','2026-03-11T02:00:00.005000Z','ann','every station is done','{"at":"2026-03-11T02:00:00.005000Z","because":"every station is done","by":"ann","certificate":"sha256:9113534f230be7e984c244ef15607bcc2e2d6c19b8c0b63091b9085ea87af32d","error":null,"kind":"finished","line":"visits","outcome":"done","promoted":true,"run":"019cda9f-5100-7000-8000-000000000000","version":1}');
CREATE TABLE inputs (
	line TEXT NOT NULL, 
	station TEXT NOT NULL, 
	inputs TEXT NOT NULL, 
	PRIMARY KEY (line, station)
);
INSERT INTO "inputs" VALUES('','chunk','{}');
INSERT INTO "inputs" VALUES('visits','ingest','{"source:visits":"sha256:007718b77e4a78410810b69355ad14c2caa6ec180ee9a8b3d8b5605e57ab2d5c","table and contract":"sha256:7ae7c947f348f834ceb294a362b7799404655161ce1d4ba86c2ba2bf5b759245"}');
INSERT INTO "inputs" VALUES('visits','split','{"dataset":"sha256:3f82bd03c6e084d7205e795010136cbfb3b403fa5cb4d8037f4354457c9e6ddb","split":"sha256:e5812764ab8e191671d0fe3b5d1ff5e4c79d1054db530bb7f50c5f443adc4853"}');
INSERT INTO "inputs" VALUES('visits','train','{"dataset":"sha256:3f82bd03c6e084d7205e795010136cbfb3b403fa5cb4d8037f4354457c9e6ddb","split":"sha256:dc348e24b36bf2aa94dec50824206a8ac524bf1600feef7777870f86413add14","training":"sha256:0a3ca8f789f06677db3c9df659e6ac83b6d7041df921d6bc2973286c8d7aa98c"}');
INSERT INTO "inputs" VALUES('visits','package','{"columns":"sha256:60888c0bdace4caa706d99446c0d0aa6b0230222207ab5013580c402fffd9805","model":"sha256:ca75164e9e56bdac9dfce01b824f52a0cc4b0172150f5cc4d9cebadcd361fa62"}');
INSERT INTO "inputs" VALUES('visits','evaluate','{"metric":"average_precision","package":"sha256:a7e3e5a84b69425bd3ff5914a9a0b561953feddce4753534fe4e6dd40733d3fb","split":"sha256:dc348e24b36bf2aa94dec50824206a8ac524bf1600feef7777870f86413add14"}');
INSERT INTO "inputs" VALUES('visits','gate','{"evaluation":"sha256:29d50654be709b3baca21cec71aca056d6f2df5a0b18f50a71a35f10357126d2","gates":"sha256:e0e41ee91a2982bee2e8ae91fb1d13b47c12e761271aaa5124ad8a2a84ae89a5","package":"sha256:a7e3e5a84b69425bd3ff5914a9a0b561953feddce4753534fe4e6dd40733d3fb","rival":"baseline","split":"sha256:dc348e24b36bf2aa94dec50824206a8ac524bf1600feef7777870f86413add14"}');
CREATE TABLE models (
	line TEXT NOT NULL, 
	version INTEGER NOT NULL, 
	digest TEXT NOT NULL, 
	at TEXT NOT NULL, 
	PRIMARY KEY (line, version), 
	CONSTRAINT models_one_version_a_digest UNIQUE (line, digest)
);
INSERT INTO "models" VALUES('visits',1,'sha256:a7e3e5a84b69425bd3ff5914a9a0b561953feddce4753534fe4e6dd40733d3fb','2026-03-11T02:00:00.002000Z');
CREATE TABLE pointers (
	line TEXT NOT NULL, 
	generation INTEGER NOT NULL, 
	champion INTEGER, 
	challenger INTEGER, 
	halt BOOLEAN NOT NULL, 
	PRIMARY KEY (line)
);
INSERT INTO "pointers" VALUES('visits',1,1,NULL,0);
CREATE TABLE results (
	digest TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	version INTEGER NOT NULL, 
	body TEXT NOT NULL, 
	PRIMARY KEY (digest)
);
INSERT INTO "results" VALUES('sha256:1b68eb6058575ff9ba953018fd1d82075a0e29528401c656f1dd0ac4fdf362dd','declared',1,'{"kind":"declared","spec":{"about":"What becomes of a visit","contract":{"columns":{"a":{"min":-50,"on_breach":"quarantine","type":"number"},"at":{"type":"datetime"},"b":{"type":"number"},"visit":{"type":"category","unique":true},"y":{"allowed":["no","yes"],"type":"category"}}},"gates":[{"beats":"champion","metric":"roc_auc"}],"label":{"column":"y","delay":"2d","positive":"yes"},"line":"visits","sources":{"visits":{"file":"history.csv"}},"table":{"key":"visit","time":"at"},"train":{"budget":"quick","folds":2,"task":"binary"}},"version":1}');
INSERT INTO "results" VALUES('sha256:369c1aa125745646a81fa93195306e991b296a1f8d0a64272ee331fb881f8e2f','plan',1,'{"changes":[{"because":"it was never done for this line","from":null,"step":"ingest","to":"sha256:1cae96d56e1735713403723811fe5ee36b3e0ea80c86e797ee5e834408fafb31"},{"because":"ingest gives it something new","from":null,"step":"split","to":null},{"because":"split gives it something new","from":null,"step":"train","to":null},{"because":"train gives it something new","from":null,"step":"package","to":null},{"because":"package gives it something new","from":null,"step":"evaluate","to":null},{"because":"evaluate gives it something new","from":null,"step":"gate","to":null},{"because":"what the gates say decides about promotion","from":null,"step":"release","to":null}],"declared":"sha256:1b68eb6058575ff9ba953018fd1d82075a0e29528401c656f1dd0ac4fdf362dd","kind":"plan","line":"visits","sources":{"visits":"sha256:007718b77e4a78410810b69355ad14c2caa6ec180ee9a8b3d8b5605e57ab2d5c"},"version":1}');
INSERT INTO "results" VALUES('sha256:290cdf73c1fe3c5a381290a031bfe099aac755501bb2695d5c4aaf2bf99ae011','quarantine',1,'{"blob":"sha256:7cbe0b83d303b8d731756ad3c7ca1c75808672a460f14821e5eda5d09ba803e6","kind":"quarantine","rows":1,"version":1}');
INSERT INTO "results" VALUES('sha256:3f82bd03c6e084d7205e795010136cbfb3b403fa5cb4d8037f4354457c9e6ddb','dataset',1,'{"chunks":[{"content":"sha256:a92094ae5b403c4cd030c25c5f4df5fe7b348dcd3d4fb49e59a4381d0c46816c","rows":240}],"columns":[{"name":"visit","nullable":false,"type":"category"},{"name":"at","nullable":false,"type":"datetime"},{"name":"a","nullable":true,"type":"number"},{"name":"b","nullable":true,"type":"number"},{"name":"y","nullable":true,"type":"category"}],"kind":"dataset","order":["at","visit"],"rows":240,"version":1}');
INSERT INTO "results" VALUES('sha256:79b05491e46b20116e143b541293b4dbf014aa0a81bd13dc8bef0af22ca1456c','ingested',1,'{"dataset":"sha256:3f82bd03c6e084d7205e795010136cbfb3b403fa5cb4d8037f4354457c9e6ddb","findings":[{"action":"quarantine","column":"a","failed":1,"first":"-99","rows":241,"rule":"at least -50"}],"kind":"ingested","quarantine":"sha256:290cdf73c1fe3c5a381290a031bfe099aac755501bb2695d5c4aaf2bf99ae011","rows_read":241,"version":1}');
INSERT INTO "results" VALUES('sha256:dc348e24b36bf2aa94dec50824206a8ac524bf1600feef7777870f86413add14','split',1,'{"by":"time","cutoff":"2026-03-09T00:00:00.000000Z","dataset":"sha256:3f82bd03c6e084d7205e795010136cbfb3b403fa5cb4d8037f4354457c9e6ddb","embargo":47,"fold_salt":"fold:","kind":"split","parts":"sha256:576a7b7abd5b80789580ff719554ba6f2d357c8a8806bb3151f9ea85fbde7511","test":48,"train":145,"unlabelled":0,"version":1,"why":"''at'' says when rows happened: 20.0% of the labelled rows are at or after 2026-03-09T00:00:00.000000Z"}');
INSERT INTO "results" VALUES('sha256:ca75164e9e56bdac9dfce01b824f52a0cc4b0172150f5cc4d9cebadcd361fa62','trained',1,'{"baseline":[0.5172413793103449,0.4827586206896552],"calibration":{"method":"sigmoid","parameters":[2.1489424142195404,-0.1515455269672348],"x":[],"y":[]},"chosen":"lin","chosen_because":"lowest out-of-fold log-loss of 2 trials: 0.388 on 48 rows, against 0.4329 of lgb_s","classes":["no","yes"],"dataset":"sha256:3f82bd03c6e084d7205e795010136cbfb3b403fa5cb4d8037f4354457c9e6ddb","encoder":{"encodings":[{"column":"a","encoding":"number"},{"column":"b","encoding":"number"}],"version":1},"half_width":null,"kind":"trained","libraries":{"lightgbm":"4.7.0","numpy":"2.4.6","onnx":"1.23.2","onnxmltools":"1.16.0","scikit-learn":"1.9.1","scipy":"1.17.1"},"native":"sha256:58bf8c7ee2d10183d0033b2dbadf055277d22d88edc133d9498c95f99627ea61","rows":145,"seed":1194123719,"split":"sha256:dc348e24b36bf2aa94dec50824206a8ac524bf1600feef7777870f86413add14","task":"binary","threshold":0.53,"threshold_because":"best F1 on 48 out-of-fold rows: 0.902 (precision 0.920, recall 0.885)","trials":[{"family":"linear","high":0.458296690077462,"loss":0.38797023194114205,"low":0.3176437738048221,"name":"lin","rounds":0,"settings":{"c":0.3,"hinges":false}},{"family":"lightgbm","high":0.6042193907616544,"loss":0.43287130494739506,"low":0.26152321913313575,"name":"lgb_s","rounds":72,"settings":{"bagging_fraction":0.8,"bagging_freq":1,"feature_fraction":0.6,"learning_rate":0.06,"max_cat_to_onehot":16,"min_data_in_leaf":15,"num_leaves":6,"patience":50,"rounds":1000}}],"version":1}');
INSERT INTO "results" VALUES('sha256:a7e3e5a84b69425bd3ff5914a9a0b561953feddce4753534fe4e6dd40733d3fb','package',1,'{"calibration":{"method":"sigmoid","parameters":[2.1489424142195404,-0.1515455269672348],"x":[],"y":[]},"classes":["no","yes"],"columns":[{"format":null,"name":"visit","nullable":false,"role":"carried","type":"category"},{"format":null,"name":"at","nullable":false,"role":"carried","type":"datetime"},{"format":null,"name":"a","nullable":true,"role":"feature","type":"number"},{"format":null,"name":"b","nullable":true,"role":"feature","type":"number"},{"format":null,"name":"y","nullable":true,"role":"carried","type":"category"}],"encoder":{"encodings":[{"column":"a","encoding":"number"},{"column":"b","encoding":"number"}],"version":1},"golden":"sha256:fa8aca076596e99d6cca9edb0dece951c99a62a69e7d7566e7882b612d887740","graph":"sha256:488325deba5c8ed19343f7452d7a1ed95156bb1f06cb1a851fb6bf7aae74e074","graph_bytes":925,"half_width":null,"key":"visit","kind":"package","label":"y","model":"onnx","task":"binary","threshold":0.53,"trained":"sha256:ca75164e9e56bdac9dfce01b824f52a0cc4b0172150f5cc4d9cebadcd361fa62","version":1}');
INSERT INTO "results" VALUES('sha256:ecd83aaa83b0878c2e1d8f1e90293f55414d26a18cfda96835b1860d4a66db1f','parity',1,'{"allowed":0.00001,"flips":0,"kind":"parity","largest":5.737909714031986e-8,"package":"sha256:a7e3e5a84b69425bd3ff5914a9a0b561953feddce4753534fe4e6dd40733d3fb","rows":130,"version":1}');
INSERT INTO "results" VALUES('sha256:29d50654be709b3baca21cec71aca056d6f2df5a0b18f50a71a35f10357126d2','evaluation',1,'{"baseline":[{"high":0.6666666667,"low":0.3541666667,"n":48,"name":"average_precision","value":0.5208333333},{"high":0.5,"low":0.5,"n":48,"name":"roc_auc","value":0.5},{"high":0.7052408765,"low":0.6836806042,"n":48,"name":"log_loss","value":0.6951794161},{"high":0.2560443916,"low":0.2452685295,"n":48,"name":"brier_score","value":0.251015656},{"high":0.5,"low":0.5,"n":48,"name":"balanced_accuracy","value":0.5},{"high":0,"low":0,"n":48,"name":"f1","value":0},{"high":0,"low":0,"n":48,"name":"precision","value":0},{"high":0,"low":0,"n":48,"name":"recall","value":0}],"clusters":0,"confusion":[[18,5],[1,24]],"kind":"evaluation","metrics":[{"high":1,"low":0.9249780087,"n":48,"name":"average_precision","value":0.9745204255},{"high":1,"low":0.9223925385,"n":48,"name":"roc_auc","value":0.9704347826},{"high":0.3407451277,"low":0.09793056114,"n":48,"name":"log_loss","value":0.2049043083},{"high":0.1187760539,"low":0.02546778954,"n":48,"name":"brier_score","value":0.06814049259},{"high":0.9630900238,"low":0.7587412587,"n":48,"name":"balanced_accuracy","value":0.8713043478},{"high":0.9697275458,"low":0.7755102041,"n":48,"name":"f1","value":0.8888888889},{"high":0.9655566741,"low":0.6666666667,"n":48,"name":"precision","value":0.8275862069},{"high":1,"low":0.8518518519,"n":48,"name":"recall","value":0.96}],"n":48,"package":"sha256:a7e3e5a84b69425bd3ff5914a9a0b561953feddce4753534fe4e6dd40733d3fb","split":"sha256:dc348e24b36bf2aa94dec50824206a8ac524bf1600feef7777870f86413add14","version":1}');
INSERT INTO "results" VALUES('sha256:9113534f230be7e984c244ef15607bcc2e2d6c19b8c0b63091b9085ea87af32d','certificate',1,'{"because":"Every gate was passed (1 of 1); first, roc_auc is 0.47 better than the baseline''s (there is no champion yet, so the baseline stands in), at least 0.432 better with 95 % confidence: that it is better is shown.","evaluation":"sha256:29d50654be709b3baca21cec71aca056d6f2df5a0b18f50a71a35f10357126d2","excluded":0,"gates":"sha256:e0e41ee91a2982bee2e8ae91fb1d13b47c12e761271aaa5124ad8a2a84ae89a5","kind":"certificate","n":48,"outcomes":[{"bar":0,"gate":"beats the champion on roc_auc","high":0.4965034965,"low":0.4318625991,"more_rows":null,"n":48,"says":"roc_auc is 0.47 better than the baseline''s (there is no champion yet, so the baseline stands in), at least 0.432 better with 95 % confidence: that it is better is shown","status":"pass","value":0.4704347826}],"package":"sha256:a7e3e5a84b69425bd3ff5914a9a0b561953feddce4753534fe4e6dd40733d3fb","rival":"baseline","rows":"sha256:77af568864e7587f797babee750ce7f856b39e1454704d5a94fc75a460f22644","split":"sha256:dc348e24b36bf2aa94dec50824206a8ac524bf1600feef7777870f86413add14","verdict":"promote","version":1}');
CREATE TABLE settled (
	"key" TEXT NOT NULL, 
	digest TEXT NOT NULL, 
	PRIMARY KEY ("key")
);
INSERT INTO "settled" VALUES('chunk:sha256:a92094ae5b403c4cd030c25c5f4df5fe7b348dcd3d4fb49e59a4381d0c46816c','sha256:f276220a2eb8a1f9684b05e99bffdbb2854fb1570976a4b49aa82570c1d469bc');
INSERT INTO "settled" VALUES('sha256:1cae96d56e1735713403723811fe5ee36b3e0ea80c86e797ee5e834408fafb31','sha256:79b05491e46b20116e143b541293b4dbf014aa0a81bd13dc8bef0af22ca1456c');
INSERT INTO "settled" VALUES('sha256:edb69dfddbc1d9277ac583f275cc89d16db8c70bf0e4b81ac23666170dc76798','sha256:dc348e24b36bf2aa94dec50824206a8ac524bf1600feef7777870f86413add14');
INSERT INTO "settled" VALUES('sha256:2b7843ce022203270148d31552dbb1a434f625ed74f7bb55f794b9375f509408','sha256:ca75164e9e56bdac9dfce01b824f52a0cc4b0172150f5cc4d9cebadcd361fa62');
INSERT INTO "settled" VALUES('sha256:bb71fd7e8c608f579b149830e4a2fd4797325d3de14c2ce3a7393eb20b7c75ad','sha256:ecd83aaa83b0878c2e1d8f1e90293f55414d26a18cfda96835b1860d4a66db1f');
INSERT INTO "settled" VALUES('sha256:e0ac99b6534714d553c1ec8a11e299ba006a9e4707c6a3ea4ee4f282d3bb3cf1','sha256:29d50654be709b3baca21cec71aca056d6f2df5a0b18f50a71a35f10357126d2');
INSERT INTO "settled" VALUES('sha256:475779bf6137b8356b4fa4fab23a015760055ea276c1aa0e35effecd98586cc0','sha256:9113534f230be7e984c244ef15607bcc2e2d6c19b8c0b63091b9085ea87af32d');
CREATE INDEX events_by_line ON events (line, kind, seq);
CREATE INDEX events_by_kind ON events (kind, seq);
CREATE TRIGGER results_no_update before update on results begin select raise(abort, 'results never change'); end;
CREATE TRIGGER results_no_delete before delete on results begin select raise(abort, 'results never change'); end;
CREATE TRIGGER events_no_update before update on events begin select raise(abort, 'events never change'); end;
CREATE TRIGGER events_no_delete before delete on events begin select raise(abort, 'events never change'); end;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('events',4);
COMMIT;
PRAGMA user_version = 0;
