// Runs once, on an empty database: the gateway's own user, with rights on its own database only.
db.getSiblingDB("omniservice").createUser({
  user: "omniservice",
  pwd: process.env.OMNI_MONGO_PASSWORD,
  roles: [{ role: "readWrite", db: "omniservice" }],
});
