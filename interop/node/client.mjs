// The part that the clients of the TypeScript SDKs have in common: a provider
// that keeps everything in memory, a person at the other end of BROWSER, and
// the application's part of the flow (finish the authorization, try again).
//
// A job comes as JSON on standard input:
//   { "url": "...", "browser": "...", "redirect": "...", "clientId": "...", "scope": "...", "steps": ["connect", "list", "call:echo", "wait:4", "operator:rotate"] }
// and for each step one line of JSON goes out: { "step": "...", "ok": true, "text": "..." }

import { json } from 'node:stream/consumers'

export class MemoryProvider {
  #tokens
  #client
  #verifier
  #state
  discovery
  code

  constructor(job) {
    this.job = job
    if (job.clientId) this.#client = { client_id: job.clientId }
    else this.saveClientInformation = (client) => void (this.#client = client)
  }

  get redirectUrl() {
    return this.job.redirect
  }

  get clientMetadata() {
    return {
      client_name: 'interop',
      redirect_uris: [this.job.redirect],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      token_endpoint_auth_method: 'none',
    }
  }

  state() {
    this.#state = crypto.randomUUID()
    return this.#state
  }

  clientInformation() {
    return this.#client
  }

  tokens() {
    return this.#tokens
  }

  saveTokens(tokens) {
    this.#tokens = tokens
  }

  // Asked by the SDKs when the server says that it takes these no more.
  invalidateCredentials(scope) {
    if (scope === 'tokens' || scope === 'all') this.#tokens = undefined
    if (scope === 'client' || scope === 'all') this.#client = undefined
  }

  saveCodeVerifier(verifier) {
    this.#verifier = verifier
  }

  codeVerifier() {
    return this.#verifier
  }

  saveDiscoveryState(state) {
    this.discovery = state
  }

  discoveryState() {
    return this.discovery
  }

  // The person signs in and decides. What comes back is for the application.
  async redirectToAuthorization(url) {
    // The SDK of 2025-03-26 asks for no scope. Its applications can.
    if (this.job.scope && !url.searchParams.has('scope')) url.searchParams.set('scope', this.job.scope)
    const answer = await fetch(this.job.browser, { method: 'POST', body: String(url) })
    if (!answer.ok) throw new Error(await answer.text())
    const back = new URL(await answer.text()).searchParams
    if (back.get('error')) throw new Error(back.get('error'))
    if (back.has('state') && back.get('state') !== this.#state) throw new Error('the state is not ours')
    this.code = back
  }
}

// run does the steps of the job with what is particular to an SDK:
// { newClient(), newTransport(url, provider), finish(transport, params), needsCode(error) }.
export const run = async (sdk) => {
  const job = await json(process.stdin)
  const provider = new MemoryProvider(job)
  let client
  let transport

  const connect = async () => {
    client = sdk.newClient()
    transport = sdk.newTransport(new URL(job.url), provider)
    await client.connect(transport)
  }
  // The SDKs end a call with an error when a person has to decide. The
  // application finishes the authorization and makes the call once more.
  const attempt = async (call, again = call) => {
    try {
      return await call()
    } catch (error) {
      if (!provider.code || !sdk.needsCode(error)) throw error
      const params = provider.code
      provider.code = undefined
      await sdk.finish(transport, params)
      return await again()
    }
  }
  const doStep = async (step) => {
    const [verb, argument] = step.split(':')
    if (verb === 'connect') return void (await attempt(connect))
    if (verb === 'list') {
      const { tools } = await client.listTools()
      return tools.map((tool) => tool.name).sort().join(' ')
    }
    if (verb === 'operator') return void (await fetch(`${job.browser}/${argument}`, { method: 'POST' }))
    if (verb === 'wait') return void (await new Promise((done) => setTimeout(done, 1000 * argument)))
    const { content, isError } = await attempt(() => client.callTool({ name: argument, arguments: {} }))
    if (isError) throw new Error(content[0].text)
    return content[0].text
  }
  for (const step of job.steps) {
    try {
      const text = await doStep(step)
      console.log(JSON.stringify({ step, ok: true, text: text ?? '' }))
    } catch (error) {
      console.log(JSON.stringify({ step, ok: false, text: `${error.name}: ${error.message}` }))
      if (step === 'connect') break
    }
  }
  process.exit(0)
}
