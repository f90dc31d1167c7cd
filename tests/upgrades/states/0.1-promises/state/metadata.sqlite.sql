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
INSERT INTO "events" VALUES(1,'accepted','visits','2026-03-11T02:00:00.001000Z','ann','ingest: it was never done for this line; split: it was never done for this line; train: it was never done for this line; package: it was never done for this line; evaluate: it was never done for this line; gate: it was never done for this line; release: what the gates say decides about promotion','{"at":"2026-03-11T02:00:00.001000Z","because":"ingest: it was never done for this line; split: it was never done for this line; train: it was never done for this line; package: it was never done for this line; evaluate: it was never done for this line; gate: it was never done for this line; release: what the gates say decides about promotion","by":"ann","declared":"sha256:1b68eb6058575ff9ba953018fd1d82075a0e29528401c656f1dd0ac4fdf362dd","kind":"accepted","line":"visits","plan":"sha256:e2394e5363c19f3e7d7c4f097e29febdd487dea2adbceb03518c7ccc304fb6ad","run":"019cda9f-5100-7000-8000-000000000000","version":1}');
INSERT INTO "events" VALUES(2,'registered','visits','2026-03-11T02:00:00.003000Z','ann','a run trained it','{"at":"2026-03-11T02:00:00.003000Z","because":"a run trained it","by":"ann","ingested":"sha256:a688e337193a5221c52c501628b1a5623eb5fab75dc019a74287315f55c11e34","kind":"registered","limits":[{"allowed":null,"column":"a","max":null,"min":-50},{"allowed":["no","yes"],"column":"y","max":null,"min":null}],"line":"visits","model":1,"package":"sha256:349a64b7674f4eb9ba465bdb95986668153e4a424b81a0654277c27a4153d212","parity":"sha256:b88246c2f122713d69a28473c8529a139f8bc7cd4de5d5d8036018efff7af252","run":"019cda9f-5100-7000-8000-000000000000","version":1}');
INSERT INTO "events" VALUES(3,'promoted','visits','2026-03-11T02:00:00.004000Z','ann','Its gate was passed: roc_auc is 0.47 better than the baseline''s (no champion came before it, so the baseline stands in), at least 0.43 better with 95 % confidence.','{"at":"2026-03-11T02:00:00.004000Z","because":"Its gate was passed: roc_auc is 0.47 better than the baseline''s (no champion came before it, so the baseline stands in), at least 0.43 better with 95 % confidence.","before":null,"by":"ann","certificate":"sha256:f0f99c593d70511de7dbfdabff8c2f96889f0906b85caa171a4b83f0031f017f","declared":"sha256:1b68eb6058575ff9ba953018fd1d82075a0e29528401c656f1dd0ac4fdf362dd","forced":false,"generation":1,"kind":"promoted","line":"visits","model":1,"package":"sha256:349a64b7674f4eb9ba465bdb95986668153e4a424b81a0654277c27a4153d212","run":"019cda9f-5100-7000-8000-000000000000","version":1}');
INSERT INTO "events" VALUES(4,'finished','visits','2026-03-11T02:00:00.005000Z','ann','every station is done','{"at":"2026-03-11T02:00:00.005000Z","because":"every station is done","by":"ann","certificate":"sha256:f0f99c593d70511de7dbfdabff8c2f96889f0906b85caa171a4b83f0031f017f","error":null,"ingested":"sha256:a688e337193a5221c52c501628b1a5623eb5fab75dc019a74287315f55c11e34","kind":"finished","line":"visits","outcome":"done","promoted":true,"run":"019cda9f-5100-7000-8000-000000000000","version":1}');
CREATE TABLE inputs (
	line TEXT NOT NULL, 
	station TEXT NOT NULL, 
	inputs TEXT NOT NULL, 
	PRIMARY KEY (line, station)
);
INSERT INTO "inputs" VALUES('','chunk','{}');
INSERT INTO "inputs" VALUES('visits','ingest','{"source:visits":"sha256:007718b77e4a78410810b69355ad14c2caa6ec180ee9a8b3d8b5605e57ab2d5c","table and contract":"sha256:4ad69b319ddf4989983e57c6703d1e21ec412ff00266596a125df75017e44561"}');
INSERT INTO "inputs" VALUES('visits','split','{"dataset":"sha256:9021fc8ebbffb7c9107764e7b907bb413a77335012e06e30527d2435e606dcc6","split":"sha256:e5812764ab8e191671d0fe3b5d1ff5e4c79d1054db530bb7f50c5f443adc4853"}');
INSERT INTO "inputs" VALUES('visits','train','{"dataset":"sha256:9021fc8ebbffb7c9107764e7b907bb413a77335012e06e30527d2435e606dcc6","split":"sha256:4f7a8ae6675d10446e348e60342b59c903bbb5dcaf4ebaca441bf9501da05df9","training":"sha256:0a3ca8f789f06677db3c9df659e6ac83b6d7041df921d6bc2973286c8d7aa98c"}');
INSERT INTO "inputs" VALUES('visits','package','{"missing texts":"sha256:055539df4a0b804c58caf46c0cd2941af10d64c1395ddd8e50b5f55d945841e6","model":"sha256:a0e4fa0a7139a0266b306392957bc3ecef4ea207cec38c1f7c54ccc188e3f450"}');
INSERT INTO "inputs" VALUES('visits','evaluate','{"metric":"average_precision","package":"sha256:349a64b7674f4eb9ba465bdb95986668153e4a424b81a0654277c27a4153d212","split":"sha256:4f7a8ae6675d10446e348e60342b59c903bbb5dcaf4ebaca441bf9501da05df9"}');
INSERT INTO "inputs" VALUES('visits','gate','{"evaluation":"sha256:05d18006ea91d67727d5a6bd0adb1540ff40efc3f0ca194d35631ecb3f37dba1","gates":"sha256:e0e41ee91a2982bee2e8ae91fb1d13b47c12e761271aaa5124ad8a2a84ae89a5","package":"sha256:349a64b7674f4eb9ba465bdb95986668153e4a424b81a0654277c27a4153d212","rival":"baseline","split":"sha256:4f7a8ae6675d10446e348e60342b59c903bbb5dcaf4ebaca441bf9501da05df9"}');
CREATE TABLE models (
	line TEXT NOT NULL, 
	version INTEGER NOT NULL, 
	digest TEXT NOT NULL, 
	at TEXT NOT NULL, 
	PRIMARY KEY (line, version), 
	CONSTRAINT models_one_version_a_digest UNIQUE (line, digest)
);
INSERT INTO "models" VALUES('visits',1,'sha256:349a64b7674f4eb9ba465bdb95986668153e4a424b81a0654277c27a4153d212','2026-03-11T02:00:00.002000Z');
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
INSERT INTO "results" VALUES('sha256:e2394e5363c19f3e7d7c4f097e29febdd487dea2adbceb03518c7ccc304fb6ad','plan',1,'{"changes":[{"because":"it was never done for this line","from":null,"step":"ingest","to":"sha256:229c519911c29f7e90b743a1c6b4b27ae8076e2726609dc042cddca184a480cb"},{"because":"it was never done for this line","from":null,"step":"split","to":null},{"because":"it was never done for this line","from":null,"step":"train","to":null},{"because":"it was never done for this line","from":null,"step":"package","to":null},{"because":"it was never done for this line","from":null,"step":"evaluate","to":null},{"because":"it was never done for this line","from":null,"step":"gate","to":null},{"because":"what the gates say decides about promotion","from":null,"step":"release","to":null}],"declared":"sha256:1b68eb6058575ff9ba953018fd1d82075a0e29528401c656f1dd0ac4fdf362dd","kind":"plan","line":"visits","sources":{"visits":"sha256:007718b77e4a78410810b69355ad14c2caa6ec180ee9a8b3d8b5605e57ab2d5c"},"version":1}');
INSERT INTO "results" VALUES('sha256:290cdf73c1fe3c5a381290a031bfe099aac755501bb2695d5c4aaf2bf99ae011','quarantine',1,'{"blob":"sha256:7cbe0b83d303b8d731756ad3c7ca1c75808672a460f14821e5eda5d09ba803e6","kind":"quarantine","rows":1,"version":1}');
INSERT INTO "results" VALUES('sha256:9021fc8ebbffb7c9107764e7b907bb413a77335012e06e30527d2435e606dcc6','dataset',1,'{"chunks":[{"content":"sha256:a92094ae5b403c4cd030c25c5f4df5fe7b348dcd3d4fb49e59a4381d0c46816c","rows":240}],"columns":[{"format":null,"name":"visit","nullable":false,"type":"category"},{"format":null,"name":"at","nullable":false,"type":"datetime"},{"format":null,"name":"a","nullable":true,"type":"number"},{"format":null,"name":"b","nullable":true,"type":"number"},{"format":null,"name":"y","nullable":true,"type":"category"}],"kind":"dataset","order":["at","visit"],"rows":240,"version":1}');
INSERT INTO "results" VALUES('sha256:a688e337193a5221c52c501628b1a5623eb5fab75dc019a74287315f55c11e34','ingested',1,'{"dataset":"sha256:9021fc8ebbffb7c9107764e7b907bb413a77335012e06e30527d2435e606dcc6","findings":[{"action":"quarantine","column":"a","failed":1,"first":"-99","rows":241,"rule":"at least -50"}],"kind":"ingested","labels":["no","yes"],"quarantine":"sha256:290cdf73c1fe3c5a381290a031bfe099aac755501bb2695d5c4aaf2bf99ae011","rows_read":241,"version":1}');
INSERT INTO "results" VALUES('sha256:4f7a8ae6675d10446e348e60342b59c903bbb5dcaf4ebaca441bf9501da05df9','split',1,'{"by":"time","cutoff":"2026-03-09T00:00:00.000000Z","dataset":"sha256:9021fc8ebbffb7c9107764e7b907bb413a77335012e06e30527d2435e606dcc6","embargo":47,"fold_salt":"fold:","kind":"split","parts":"sha256:576a7b7abd5b80789580ff719554ba6f2d357c8a8806bb3151f9ea85fbde7511","test":48,"train":145,"unlabelled":0,"version":1,"why":"''at'' says when rows happened: 20.0% of the labelled rows are at or after 2026-03-09T00:00:00.000000Z"}');
INSERT INTO "results" VALUES('sha256:a0e4fa0a7139a0266b306392957bc3ecef4ea207cec38c1f7c54ccc188e3f450','trained',1,'{"baseline":[0.5172413793103449,0.4827586206896552],"calibration":{"method":"sigmoid","parameters":[2.14894241421954,-0.15154552696723483],"x":[],"y":[]},"chosen":"lin","chosen_because":"lowest out-of-fold log-loss of 2 trials: 0.388 on 48 rows, against 0.44 of lgb_s","classes":["no","yes"],"dataset":"sha256:9021fc8ebbffb7c9107764e7b907bb413a77335012e06e30527d2435e606dcc6","encoder":{"encodings":[{"column":"a","encoding":"number"},{"column":"b","encoding":"number"}],"version":1},"half_width":null,"kind":"trained","libraries":{"lightgbm":"4.7.0","numpy":"2.4.6","onnx":"1.23.2","onnxmltools":"1.16.0","scikit-learn":"1.9.1","scipy":"1.17.1"},"native":"sha256:58bf8c7ee2d10183d0033b2dbadf055277d22d88edc133d9498c95f99627ea61","rows":145,"seed":165969684,"split":"sha256:4f7a8ae6675d10446e348e60342b59c903bbb5dcaf4ebaca441bf9501da05df9","task":"binary","threshold":0.53,"threshold_because":"best F1 on 48 out-of-fold rows: 0.902 (precision 0.920, recall 0.885)","trials":[{"family":"linear","high":0.458296690077462,"loss":0.38797023194114205,"low":0.3176437738048221,"name":"lin","rounds":0,"settings":{"c":0.3,"hinges":false}},{"family":"lightgbm","high":0.6017153740288019,"loss":0.43996334881382565,"low":0.2782113235988494,"name":"lgb_s","rounds":62,"settings":{"bagging_fraction":0.8,"bagging_freq":1,"feature_fraction":0.6,"learning_rate":0.06,"max_cat_to_onehot":16,"min_data_in_leaf":15,"num_leaves":6,"patience":50,"rounds":1000}}],"version":1}');
INSERT INTO "results" VALUES('sha256:349a64b7674f4eb9ba465bdb95986668153e4a424b81a0654277c27a4153d212','package',1,'{"calibration":{"method":"sigmoid","parameters":[2.14894241421954,-0.15154552696723483],"x":[],"y":[]},"classes":["no","yes"],"columns":[{"format":null,"name":"visit","nullable":false,"role":"carried","type":"category"},{"format":null,"name":"at","nullable":false,"role":"carried","type":"datetime"},{"format":null,"name":"a","nullable":true,"role":"feature","type":"number"},{"format":null,"name":"b","nullable":true,"role":"feature","type":"number"},{"format":null,"name":"y","nullable":true,"role":"carried","type":"category"}],"encoder":{"encodings":[{"column":"a","encoding":"number"},{"column":"b","encoding":"number"}],"version":1},"golden":"sha256:ec77d34be4331c02913a2bcda659e83ba0b7b67b2e09579f32968aec8d8e8afd","graph":"sha256:488325deba5c8ed19343f7452d7a1ed95156bb1f06cb1a851fb6bf7aae74e074","graph_bytes":925,"half_width":null,"key":"visit","kind":"package","label":"y","missing":[""],"model":"onnx","task":"binary","threshold":0.53,"trained":"sha256:a0e4fa0a7139a0266b306392957bc3ecef4ea207cec38c1f7c54ccc188e3f450","version":1}');
INSERT INTO "results" VALUES('sha256:b88246c2f122713d69a28473c8529a139f8bc7cd4de5d5d8036018efff7af252','parity',1,'{"allowed":0.00001,"flips":0,"kind":"parity","largest":2.709462432193277e-8,"package":"sha256:349a64b7674f4eb9ba465bdb95986668153e4a424b81a0654277c27a4153d212","rows":130,"version":1}');
INSERT INTO "results" VALUES('sha256:05d18006ea91d67727d5a6bd0adb1540ff40efc3f0ca194d35631ecb3f37dba1','evaluation',1,'{"baseline":[{"high":0.6666666667,"low":0.375,"n":48,"name":"average_precision","value":0.5208333333},{"high":0.5,"low":0.5,"n":48,"name":"roc_auc","value":0.5},{"high":0.7052408765,"low":0.6851179557,"n":48,"name":"log_loss","value":0.6951794161},{"high":0.2560443916,"low":0.2459869203,"n":48,"name":"brier_score","value":0.251015656},{"high":0.5,"low":0.5,"n":48,"name":"balanced_accuracy","value":0.5},{"high":0,"low":0,"n":48,"name":"f1","value":0},{"high":0,"low":0,"n":48,"name":"precision","value":0},{"high":0,"low":0,"n":48,"name":"recall","value":0}],"clusters":0,"confusion":[[18,5],[1,24]],"kind":"evaluation","metrics":[{"high":1,"low":0.9216699136,"n":48,"name":"average_precision","value":0.9745204255},{"high":1,"low":0.9201451906,"n":48,"name":"roc_auc","value":0.9704347826},{"high":0.3355322102,"low":0.09494670963,"n":48,"name":"log_loss","value":0.2049043111},{"high":0.1211868818,"low":0.02434550775,"n":48,"name":"brier_score","value":0.06814049325},{"high":0.9666666667,"low":0.7607065745,"n":48,"name":"balanced_accuracy","value":0.8713043478},{"high":0.9687824871,"low":0.7826086957,"n":48,"name":"f1","value":0.8888888889},{"high":0.9655566741,"low":0.6666666667,"n":48,"name":"precision","value":0.8275862069},{"high":1,"low":0.8695652174,"n":48,"name":"recall","value":0.96}],"n":48,"package":"sha256:349a64b7674f4eb9ba465bdb95986668153e4a424b81a0654277c27a4153d212","split":"sha256:4f7a8ae6675d10446e348e60342b59c903bbb5dcaf4ebaca441bf9501da05df9","version":1}');
INSERT INTO "results" VALUES('sha256:f0f99c593d70511de7dbfdabff8c2f96889f0906b85caa171a4b83f0031f017f','certificate',1,'{"because":"Its gate was passed: roc_auc is 0.47 better than the baseline''s (no champion came before it, so the baseline stands in), at least 0.43 better with 95 % confidence.","evaluation":"sha256:05d18006ea91d67727d5a6bd0adb1540ff40efc3f0ca194d35631ecb3f37dba1","excluded":0,"gates":"sha256:e0e41ee91a2982bee2e8ae91fb1d13b47c12e761271aaa5124ad8a2a84ae89a5","incomparable":"","kind":"certificate","n":48,"outcomes":[{"bar":0,"excluded":0,"gate":"beats the champion on roc_auc","high":0.4965034965,"low":0.4297233755,"more_rows":null,"n":48,"says":"roc_auc is 0.47 better than the baseline''s (no champion came before it, so the baseline stands in), at least 0.43 better with 95 % confidence","status":"pass","value":0.4704347826}],"package":"sha256:349a64b7674f4eb9ba465bdb95986668153e4a424b81a0654277c27a4153d212","rival":"baseline","rows":"sha256:77af568864e7587f797babee750ce7f856b39e1454704d5a94fc75a460f22644","split":"sha256:4f7a8ae6675d10446e348e60342b59c903bbb5dcaf4ebaca441bf9501da05df9","verdict":"promote","version":1}');
CREATE TABLE settled (
	"key" TEXT NOT NULL, 
	digest TEXT NOT NULL, 
	PRIMARY KEY ("key")
);
INSERT INTO "settled" VALUES('chunk:sha256:a92094ae5b403c4cd030c25c5f4df5fe7b348dcd3d4fb49e59a4381d0c46816c','sha256:f276220a2eb8a1f9684b05e99bffdbb2854fb1570976a4b49aa82570c1d469bc');
INSERT INTO "settled" VALUES('sha256:229c519911c29f7e90b743a1c6b4b27ae8076e2726609dc042cddca184a480cb','sha256:a688e337193a5221c52c501628b1a5623eb5fab75dc019a74287315f55c11e34');
INSERT INTO "settled" VALUES('sha256:0c7244107cc7d4199e62be164558fce0c5080bce507b48176ae7f18a466fac79','sha256:4f7a8ae6675d10446e348e60342b59c903bbb5dcaf4ebaca441bf9501da05df9');
INSERT INTO "settled" VALUES('sha256:7a1a5fa7c6692289eb52ca55d433bbf3a302b704806b34775944d63477d4d06d','sha256:a0e4fa0a7139a0266b306392957bc3ecef4ea207cec38c1f7c54ccc188e3f450');
INSERT INTO "settled" VALUES('sha256:e56512c39bf1a3770bc9a2f3e6694de49a56404ecf946d24470c54c147d45b95','sha256:b88246c2f122713d69a28473c8529a139f8bc7cd4de5d5d8036018efff7af252');
INSERT INTO "settled" VALUES('sha256:8ff58249d3fde40eaa94c63478411b55d1f3e10c48895546c3539f3420b9aac1','sha256:05d18006ea91d67727d5a6bd0adb1540ff40efc3f0ca194d35631ecb3f37dba1');
INSERT INTO "settled" VALUES('sha256:127d2e6307a3d938e93ec64d87aaa9bd5962defd11a6904477f547791a11a387','sha256:f0f99c593d70511de7dbfdabff8c2f96889f0906b85caa171a4b83f0031f017f');
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
