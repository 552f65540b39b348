// Healthy means: member of a replica set that takes writes. The first look makes the set.
const admin = new Mongo("mongodb://127.0.0.1:27017/?directConnection=true").getDB("admin");
admin.auth(process.env.MONGO_INITDB_ROOT_USERNAME, process.env.MONGO_INITDB_ROOT_PASSWORD);
if (!admin.hello().setName) {
  admin.runCommand({
    replSetInitiate: { _id: "rs0", members: [{ _id: 0, host: "mongo:27017" }] },
  });
}
quit(admin.hello().isWritablePrimary ? 0 : 1);
