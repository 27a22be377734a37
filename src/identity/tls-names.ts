/** What a TLS connection contributes to a hello: the label of its exporter, and the nodes that a certificate names. */

/** The label by which both ends of a TLS connection derive the same value (RFC 5705). */
export const EXPORTER_LABEL = 'EXPORTER-co2-relay-hello-1';
export const EXPORTER_BYTES = 32;

const NODE_NAME = /^URI:co2:([a-z2-7]{32})$/;

/** The nodes in the names of a certificate, as Node's `subjectaltname` lists them: entries `URI:co2:<node>`. */
export function nodesIn(subjectAltName: string | undefined): readonly string[] {
  // A name with a comma in it is quoted. No name of ours is, and a quoted one could pretend to be several.
  if (subjectAltName === undefined || subjectAltName.includes('"')) return [];
  return subjectAltName.split(', ').flatMap((name) => NODE_NAME.exec(name)?.[1] ?? []);
}
