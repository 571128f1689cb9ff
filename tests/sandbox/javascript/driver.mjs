// Does all that Coveo's JavaScript client can do, and prints what it was told as one JSON object.
//
//   node driver.mjs ADDRESS KEY WEAK_KEY FOLDER
//
// ADDRESS is the sandbox's, WEAK_KEY may push and nothing else, FOLDER holds the JSON files to push. The client is as
// published: only what it sends to a host of Coveo's goes to ADDRESS instead.
import * as client from '@coveo/push-api-client';

const {
  PushSource, CatalogSource, DocumentBuilder, PermissionSetBuilder, FieldAnalyser, BuiltInTransformers,
  AnySecurityIdentityBuilder, UserSecurityIdentityBuilder, GroupSecurityIdentityBuilder,
  VirtualGroupSecurityIdentityBuilder, PlatformEnvironment, Region, SourceVisibility,
  parseAndGetDocumentBuilderFromJSONDocument,
} = client;
const [address, key, weakKey, folder] = process.argv.slice(2);
const PROVIDER = 'My Security Identity Provider';
const EMAIL = 'Email Security Provider';
const URL = 'https://example.com';
const MARK = 1500000000000;

const hosts = new Set();
const realFetch = globalThis.fetch;
globalThis.fetch = (url, init) => {
  const coveo = /^https:\/\/(?:api|platform)[a-z-]*\.cloud\.coveo\.com/.exec(url);
  if (coveo) hosts.add(coveo[0]);
  return realFetch(coveo ? address + url.slice(coveo[0].length) : url, init);
};

const patient = {retryAfter: 1, maxRetries: 3, timeMultiple: 1};
const push = new PushSource(key, 'sandbox', patient);
const catalog = new CatalogSource(key, 'sandbox', patient);
const document = (name) => new DocumentBuilder(`${URL}/${name}`, name);
const files = (...names) => names.map((name) => `${folder}/${name}`);
const caught = async (work) => {
  try {
    await work();
    return null;
  } catch (error) {
    return {name: error.constructor.name, message: String(error.message ?? error)};
  }
};

const told = {};
const scenes = {
  // First, as the throttled answers are there for the first calls.
  async throttled() {
    await push.setSourceStatus('files', 'REBUILD');
    const impatient = new PushSource(key, 'sandbox', {...patient, maxRetries: 2});
    return caught(() => impatient.deleteDocument('files', `${URL}/none`));
  },

  async sources() {
    const made = {};
    for (const visibility of Object.values(SourceVisibility)) {
      made[`push ${visibility}`] = (await push.create(`push ${visibility}`, visibility)).id;
      made[`catalog ${visibility}`] = (await catalog.create(`catalog ${visibility}`, visibility)).id;
    }
    return made;
  },

  async statuses() {
    for (const status of ['REBUILD', 'REFRESH', 'INCREMENTAL', 'IDLE']) await push.setSourceStatus('status', status);
  },

  async builder() {
    const team = new GroupSecurityIdentityBuilder('Team', PROVIDER);
    const first = new PermissionSetBuilder(false)
      .withAllowedPermissions(new UserSecurityIdentityBuilder('ann@example.com'))
      .withAllowedPermissions(new UserSecurityIdentityBuilder(['bea', 'carl'], PROVIDER))
      .withDeniedPermissions(new GroupSecurityIdentityBuilder(['Interns', 'Guests'], PROVIDER));
    const second = new PermissionSetBuilder(false)
      .withAllowedPermissions(new VirtualGroupSecurityIdentityBuilder(['Visitors'], PROVIDER))
      .withAllowedPermissions(new VirtualGroupSecurityIdentityBuilder('Board'))
      .withDeniedPermissions(new AnySecurityIdentityBuilder('UNKNOWN', 'zoe', PROVIDER));
    const full = document('full')
      .withData('all of the text')
      .withDate('2024-02-03T04:05:06Z')
      .withModifiedDate(new Date(Date.UTC(2025, 0, 2)))
      .withPermanentId('0123456789')
      .withFileExtension('.txt')
      .withParentID(`${URL}/parent`)
      .withClickableUri(`${URL}/click`)
      .withAuthor('ann@example.com')
      .withMetadataValue('size', 3)
      .withMetadataValue('My Key', 'lower', BuiltInTransformers.toLowerCase)
      .withMetadata({'My Other-Key': [1.5]}, BuiltInTransformers.toSnakeCase)
      .withMetadata({tags: ['a', 'b']})
      .withPermissionSet(first)
      .withPermissionSet(second);
    const levels = document('levels')
      .withDate(1700000000000)
      .withPermissionLevel('First', [new PermissionSetBuilder(false).withAllowedPermissions(team), first])
      .withPermissionLevel('Second', [new PermissionSetBuilder(true)]);
    const compressed = document('compressed').withCompressedBinaryData('eJwrSa0oAQAEXQHB', 'ZLIB');
    compressed.withPermissionSet(new PermissionSetBuilder(true));
    return [
      (await push.addOrUpdateDocument('hr', full)).status,
      (await push.addOrUpdateDocument('hr', levels, {createFields: false})).status,
      (await push.batchUpdateDocuments('hr', {addOrUpdate: [compressed], delete: []})).status,
      full.build().uri,
      full.marshal().documentId,
    ];
  },

  async deletions() {
    const names = ['one', 'two', 'two/a', 'three', 'three/a', 'four', 'four/a', 'five', 'five/a'];
    await push.batchUpdateDocuments('files', {addOrUpdate: names.map(document), delete: []});
    await push.batchUpdateDocuments('files', {
      addOrUpdate: [document('six')],
      delete: [
        {documentId: `${URL}/one`, deleteChildren: false},
        {documentId: `${URL}/two`, deleteChildren: true},
        {documentId: `${URL}/three`, deleteChildren: false},
      ],
    });
    const answers = [
      await push.deleteDocument('files', `${URL}/four`),
      await push.deleteDocument('files', `${URL}/five`, true),
    ];
    return answers.map((one) => one.status);
  },

  async olderThan() {
    await push.addOrUpdateDocument('old', document('old'), {createFields: false});
    const before = [
      await push.deleteDocumentsOlderThan('old', '2020-01-01'),
      await push.deleteDocumentsOlderThan('old', new Date(MARK)),
      await push.deleteDocumentsOlderThan('files', MARK),
    ];
    const last = await push.deleteDocumentsOlderThan('old', Date.now() + 1000);
    return [...before, last].map((one) => one.status);
  },

  async pushedFiles() {
    const seen = [];
    const uploads = [];
    await push
      .batchUpdateDocumentsFromFiles('big', files('big', 'lonely.json', 'notes.txt'), {
        createFields: true,
        maxConcurrent: 2,
        fieldNameTransformer: BuiltInTransformers.toSnakeCase,
        callback: (builder) => seen.push(builder.build().title),
      })
      .onBatchUpload(({batch, files, progress, res}) =>
        uploads.push([batch.length, files.length, progress.remainingDocumentCount, res.status]))
      .onBatchError((error) => { throw error; })
      .batch();
    return {seen: [...new Set(seen)].sort(), uploads};
  },

  async failedFiles() {
    const told = [];
    await push
      .batchUpdateDocumentsFromFiles('none', files('lonely.json'), {createFields: false})
      .onBatchError((error) => told.push(error.constructor.name))
      .onBatchUpload(({res}) => told.push(res === undefined))
      .batch();
    return told;
  },

  async catalogs() {
    await catalog.batchStreamDocuments('products', {addOrUpdate: ['gone', 'kept'].map(document), delete: []});
    await catalog.batchStreamDocuments(
      'products',
      {addOrUpdate: [document('kept').withMetadataValue('price', 9.5)], delete: []},
      {createFields: false}
    );
    const updated = await catalog.batchUpdateDocuments('products', {
      addOrUpdate: [document('new').withMetadataValue('ec_price', 7)],
      delete: [{documentId: `${URL}/kept`, deleteChildren: false}],
    });
    await catalog.batchUpdateDocumentsFromFiles('products', files('lonely.json'), {createFields: false}).batch();
    await catalog
      .batchStreamDocumentsFromFiles('stream', files('big', 'lonely.json'), {
        fieldNameTransformer: BuiltInTransformers.toLowerCase,
      })
      .batch();
    return updated.status;
  },

  async parsed() {
    const called = [];
    const builders = await parseAndGetDocumentBuilderFromJSONDocument(`${folder}/lonely.json`, {
      fieldNameTransformer: BuiltInTransformers.identity,
      callback: (builder, path) => called.push(path.endsWith('lonely.json')),
    });
    return [builders.length, builders[0].marshal(), called];
  },

  async fields() {
    const analyser = new FieldAnalyser(push.platformClient);
    const about = (values) => document('x').withMetadata(values);
    await analyser.add([about({whole: 1, big: 1, text: 'a', flag: true, list: [1, 2.5], words: ['a', 1]})]);
    await analyser.add([about({whole: 2, big: 5000000000, decimal: 0.5, object: {a: 1}})]);
    await push.createFields(analyser);
    const mixed = await new FieldAnalyser(push.platformClient).add([about({both: 1}), about({both: 'text'})]);
    const report = mixed.report();
    return {
      report: Object.fromEntries(analyser.report().fields.map((one) => [one.name, one.type])),
      inconsistencies: [...report.inconsistencies].map(([name, types]) => [name, [...types]]),
      refused: await caught(() => push.createFields(mixed)),
    };
  },

  async identities() {
    const of = (name, type = 'USER', additionalInfo = {}) => ({name, type, additionalInfo});
    const team = {identity: of('Team', 'GROUP', {dept: 'R&D'}), members: [of('ann')], wellKnowns: [of('All', 'GROUP')]};
    await push.identity.createSecurityIdentity(PROVIDER, team);
    await push.identity.createOrUpdateSecurityIdentityAlias(PROVIDER, {
      identity: of('ann'),
      mappings: [{...of('ann@example.com'), provider: EMAIL}],
      wellKnowns: [],
    });
    await catalog.identity.createSecurityIdentity(PROVIDER, {identity: of('Gone', 'GROUP'), members: []});
    await catalog.identity.deleteSecurityIdentity(PROVIDER, {identity: of('Gone', 'GROUP')});
    for (const [orderingId, name] of [[MARK, 'Old'], [MARK + 1, 'New']]) {
      const container = await push.platformClient.pushApi.createFileContainer({useVirtualHostedStyleUrl: true});
      const body = JSON.stringify({members: [{identity: of(name, 'GROUP'), members: []}], mappings: [], deleted: []});
      await fetch(container.uploadUri, {method: 'PUT', body, headers: container.requiredHeaders});
      await push.identity.manageSecurityIdentities('Other', {fileId: container.fileId, orderingId});
    }
    return push.identity.deleteOldSecurityIdentities('Other', {orderingId: MARK + 1, queueDelay: 1});
  },

  // The push client's own client of the platform, which is public: what the CLI asks of it beside pushing.
  async platform() {
    const platform = push.platformClient;
    const id = told.sources['push SHARED'];
    await platform.initialize();
    await platform.source.setPushRefreshStatus(id, 'REBUILD');
    await platform.source.mappings.update(id, {common: {rules: [{field: 'color', content: ['%[colour]']}]}, types: []});
    const model = await platform.source.get(id);
    await platform.source.update(id, {...model, sourceVisibility: 'PRIVATE'});
    const raw = await platform.source.getRawSource(id);
    await platform.source.updateRawSource(id, {...raw, streamEnabled: true}, {rebuild: false});
    return {
      user: platform.API?.currentUser?.username ?? null,
      organizations: (await platform.organization.list()).map((one) => one.id),
      limits: await platform.limits.getAll(),
      connectors: (await platform.license.full()).connectors.map((one) => one.type),
      light: (await platform.source.getLightSource(id)).name,
      rules: (await platform.source.mappings.get(id)).common.rules.map((one) => one.field),
      rebuild: (await caught(() => platform.source.rebuild(id))) !== null,
      listed: (await platform.source.list({filter: 'push SHARED'})).sourceModels.map((one) => one.id === id),
    };
  },

  async hosts() {
    for (const environment of Object.values(PlatformEnvironment))
      for (const region of Object.values(Region)) {
        const source = new PushSource(key, 'sandbox', {...patient, environment, region});
        await source.setSourceStatus('status', 'IDLE');
        await source.addOrUpdateDocument('status', document('everywhere'));
      }
    return [...hosts].sort();
  },

  async refusals() {
    const weak = new PushSource(weakKey, 'sandbox', patient);
    const wrong = new PushSource('wrong', 'sandbox', patient);
    const plain = {createFields: false};
    const fromFile = (name) => () => push.batchUpdateDocumentsFromFiles('files', files(name)).batch();
    return {
      unknown: await caught(() => push.addOrUpdateDocument('none', document('x'), plain)),
      stranger: await caught(() => wrong.addOrUpdateDocument('files', document('x'), plain)),
      weak: await caught(() => weak.addOrUpdateDocument('files', document('x'))),
      pushes: await caught(() => weak.addOrUpdateDocument('files', document('weak'), plain)),
      path: await caught(() => push.addOrUpdateDocument('files', new DocumentBuilder('a path', 'x'), plain)),
      reserved: await caught(() => document('x').withMetadataValue('orderingid', 1)),
      field: await caught(() => document('x').withMetadata({'no field': 1})),
      extension: await caught(() => document('x').withFileExtension('txt')),
      binary: await caught(() => document('x').withCompressedBinaryData('no base64', 'ZLIB')),
      untitled: await caught(fromFile('untitled.json')),
      broken: await caught(fromFile('broken.json')),
      folder: await caught(() => parseAndGetDocumentBuilderFromJSONDocument(folder)),
    };
  },

  // Last, as no other scene goes on without its field.
  async permanentId() {
    await push.platformClient.field.delete('permanentid');
    await push.platformClient.field.create({name: 'permanentid', type: 'LONG'});
    return caught(() => push.addOrUpdateDocument('files', document('x')));
  },
};

for (const [name, scene] of Object.entries(scenes)) told[name] = (await scene()) ?? null;
const methods = (one) => Object.getOwnPropertyNames(one.prototype ?? {}).filter((name) => name !== 'constructor');
told.exports = Object.fromEntries(Object.entries(client).map(([name, one]) => [name, methods(one)]));
console.log(JSON.stringify(told));
