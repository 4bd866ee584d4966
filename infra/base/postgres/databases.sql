-- One role and one database for each user of the server, made again as declared however often this runs.
-- A changed password in the Secret becomes the role's password.
\set ON_ERROR_STOP on
\getenv mlflow_password MLFLOW_PASSWORD
\getenv optuna_password OPTUNA_PASSWORD

SELECT format('CREATE ROLE %I LOGIN', name)
FROM (VALUES ('mlflow'), ('optuna')) AS wanted (name)
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec

SELECT format('CREATE DATABASE %I OWNER %I', name, name)
FROM (VALUES ('mlflow'), ('optuna')) AS wanted (name)
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = name) \gexec

-- Neither role can look into the other's database.
REVOKE CONNECT ON DATABASE mlflow, optuna FROM PUBLIC;
ALTER ROLE mlflow PASSWORD :'mlflow_password';
ALTER ROLE optuna PASSWORD :'optuna_password';
